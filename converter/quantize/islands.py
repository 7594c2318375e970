"""What of a quantised model computes otherwise than its recipe says: islands, kept or left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from converter.graph.reading import read
from converter.graph.values import FLOAT_TYPES
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from converter.graph.values import Graph, Op
    from converter.quantize.recipe import Recipe, Selection
    from edge.model.model_file import ModelFile

# Between an island and the rest.
BORDERS = ("QUANTIZE", "DEQUANTIZE")
_FLOAT = {"float32": frozenset(FLOAT_TYPES)}
# Kind of activations to what would be an island among them.
OTHERS: dict[str, dict[str, frozenset[str]]] = {
    "int8": {**_FLOAT, "int16": frozenset({"int16"})},
    "int16": _FLOAT,
    "int8_dynamic": {},
    "float32": {},
}


def selected(graph: Graph, selection: Selection, path: Path) -> tuple[Op, ...]:
    """Return the ops of a float model that a selection names.

    Raises:
        ConfigError: One of its patterns, kinds or numbers names none: a layer that would be
            quantised after all must not go unnoticed.
    """
    found: set[int] = set()
    for typed, part in selection.singly().items():
        rows = {
            number
            for number, op in enumerate(graph.ops)
            if part.covers(number=number, kind=op.kind, names=op.outputs)
        }
        if not rows:
            raise ConfigError(
                f"{path}: expected an op to keep for {typed!r}, found none among the "
                f"{len(graph.ops)}; list them with: edge-convert inspect"
            )
        found |= rows
    return tuple(graph.ops[number] for number in sorted(found))


def kept_float_names(graph: Graph, recipe: Recipe, path: Path) -> frozenset[str]:
    """Return the names of the tensors that the ops write which the recipe keeps float.

    Their weights are not rounded, so nothing is to be made up for in them.

    Raises:
        ConfigError: As `selected`.
    """
    kept = selected(graph, recipe.keep_float, path)
    return frozenset(name for op in kept for name in op.outputs)


def islands(graph: Graph, recipe: Recipe) -> dict[str, dict[str, int]]:
    """Return the ops of a quantised model that compute otherwise than int8: type to kind to count.

    Empty for a recipe whose activations stay float32: nothing in it is an island. The QUANTIZE and
    DEQUANTIZE at the borders are left out.
    """
    inside = [op for op in graph.ops if op.kind not in BORDERS]
    found = {
        name: dict(Counter(op.kind for op in inside if not others.isdisjoint(graph.dtypes(op))))
        for name, others in OTHERS[recipe.activations].items()
    }
    return {name: counts for name, counts in found.items() if counts}


def described(found: dict[str, dict[str, int]]) -> list[str]:
    """Return what `islands` found as clauses, such as `float32 inside: CONV_2D x2`."""
    return [f"{dtype} inside: {counted(kinds)}" for dtype, kinds in found.items()]


def islands_of(file: ModelFile, recipe: Recipe) -> dict[str, dict[str, int]]:
    """Return the `islands` of a quantised model file."""
    return islands(read(file.flatbuffer, file.path), recipe)


def remarks(file: ModelFile, recipe: Recipe) -> list[str]:
    """Return what the person who converts should know of a quantised model, a clause each."""
    return [*filter(None, [recipe.purpose]), *described(islands_of(file, recipe))]


def unwanted(graph: Graph, recipe: Recipe, kept_float: Iterable[str] = ()) -> dict[str, int]:
    """Return, by kind, the float ops of a quantised model that no rule kept.

    int8: any op that reads or writes a float, unless it was kept; then the borders are allowed,
    too. int16x8: none is unwanted, as it is for analysis. float16, dynamic: all ops are float.

    Args:
        graph: Of the quantised model.
        recipe: How it was quantised.
        kept_float: Kinds of the ops of the float model that a rule kept, one for each op.
    """
    if recipe.activations != "int8":
        return {}
    kept = Counter(kept_float)
    left = Counter(op.kind for op in graph.float_ops())
    inside = Counter({kind: count for kind, count in left.items() if kind not in BORDERS})
    # With nothing inside to border on, they stand at the ends: the input or an output is float.
    is_border = bool(inside or kept)
    return dict((inside if is_border else left) - kept)


def refuse_float(left: dict[str, int], path: Path, *, quantizer: str) -> None:
    """Refuse a quantised model in which an op still computes with floats though none was to.

    Args:
        left: From `unwanted`.
        path: For the message.
        quantizer: Which one left them.

    Raises:
        ModelError: There is one; the message counts them by kind and says what to type.
    """
    if not left:
        return
    remedy = (
        "type: --recipe int8_tflite_converter"
        if quantizer == "litert"
        else "keep them float on purpose with --keep-float, or replace them in the model"
    )
    raise ModelError(
        f"{path}: expected only integer ops after quantisation, found float "
        f"{counted(left)}; {remedy}"
    )


def counted(kinds: dict[str, int]) -> str:
    """Return `LEAKY_RELU x2, TILE x1`."""
    return ", ".join(f"{kind} x{count}" for kind, count in kinds.items())
