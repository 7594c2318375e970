"""Import an ONNX detector or segmenter: YOLOv5 to v11, YOLOX, U-Net-like maps.

The maintained converters pin every package that they share with TensorFlow and litert-quantizer
(onnx2tf 2.6: NumPy, protobuf, ai-edge-litert to the patch), so none can stand beside them. The
operations of these nets are few; each import is compared with onnxruntime.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

from converter.choice import told_input
from converter.draft import GREY, check_channels
from converter.graph.edits import renamed
from converter.importers.heads.families import FAMILY_OF_HEAD
from converter.importers.heads.finder import family_of, find
from converter.importers.normalisation import without_normalisation
from converter.importers.onnx import arithmetic, file, layout, runtime, spatial
from converter.importers.onnx.values import Values
from edge.errors import EdgeError, ModelError
from edge.model.readers import exporter

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph
    from converter.importers.onnx.file import OnnxModel, OnnxNode
    from converter.importers.onnx.values import Order


FEED = "input"
HANDLERS = arithmetic.HANDLERS | layout.HANDLERS | spatial.HANDLERS
# What onnx2tf 1.29 was found to write: NAME_float32.tflite in the folder that is named.
WAY_OUT = (
    "onnx2tf knows more: python -m venv other && other/bin/pip install onnx2tf && "
    "other/bin/onnx2tf -i MODEL.onnx -o FOLDER, then give FOLDER/MODEL_float32.tflite"
)
# What a node raises that does not fit the others, as in damaged bytes.
MALFORMED = (
    KeyError, ValueError, TypeError, IndexError, ZeroDivisionError, AttributeError, OverflowError,
    MemoryError, StopIteration, RuntimeError,
)  # fmt: skip
# Of a tensor that keeps the name that the exporter gave.
MAX_NAME = 200


def import_onnx(path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return the float model of an ONNX file, cut at its raw heads.

    Args:
        path: The file.
        family: What it shall become; `None` takes what its structure tells.
        choice: What the person says.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: The file is damaged, foreign, or not of that family; or onnxruntime gives other
            heads.
        DependencyError: The package onnx is not installed.
    """
    model, graph, orders = read_graph(path)
    found = _find_heads(graph, path, family=family, choice=choice)
    part, own = without_normalisation(found.graph)
    checked = runtime.checked(part, found.sources, model, orders=orders, own=own, path=path)
    _graph_of.cache_clear()  # the weights
    told = exporter.told_by(path, model.metadata)
    return replace(
        found,
        graph=part,
        transform=own or told_input(told, family=FAMILY_OF_HEAD[found.head.kind]),
        labels=told.labels if told else None,
        changes=f"{found.changes}; {checked}",
    )


def told_family(path: Path) -> tuple[str | None, str]:
    """Return the family that a file's structure tells, or `None`, and why; as `read_graph`."""
    return family_of(read_graph(path)[1])


def unsaid(path: Path, *, family: str | None) -> tuple[str, ...]:
    """Return the fields of `InputChoice` that a file is silent on; as `read_graph`."""
    model, graph, _ = read_graph(path)
    if family and told_input(exporter.told_by(path, model.metadata), family=family):
        return ()
    own = without_normalisation(graph)[1]
    told = {"color": model.input_shape[3] == GREY, "mean": own is not None and own.mean}
    return (*(name for name, is_told in told.items() if not is_told), "resize")


def read_graph(path: Path) -> tuple[OnnxModel, Graph, dict[str, Order]]:
    """Return a file, its whole graph with its decode, and how the tensors are laid out in it.

    Raises:
        ModelError: The file is damaged or foreign.
        DependencyError: The package onnx is not installed.
    """
    return _graph_of(file.read_bytes(path), path)


# One run asks for the family, for what the exporter wrote beside the graph, and for the graph.
@functools.lru_cache(maxsize=1)
def _graph_of(data: bytes, path: Path) -> tuple[OnnxModel, Graph, dict[str, Order]]:
    try:
        model = file.read(data, path)
        check_channels(model.input_shape[3], path)
        return (model, *translate(model))
    except EdgeError:
        raise
    except MALFORMED as error:
        raise ModelError(
            f"{path}: expected a graph whose nodes fit each other, found one that does not "
            f"({_reason(error)}); export the model again"
        ) from error


def _find_heads(graph: Graph, path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return a graph up to its raw heads, all of whose operations are read."""
    try:
        found = find(graph, path, family=family, choice=choice)
    except ModelError as error:
        unread = ", ".join(sorted({op.kind for op in graph.ops if op.custom is not None}))
        if not unread:
            raise
        raise ModelError(f"{error}; of its operations {unread} is not read; {WAY_OUT}") from error
    refuse_unread(found.graph, path)
    return found


def translate(model: OnnxModel) -> tuple[Graph, dict[str, Order]]:
    """Return the whole graph, and how each value is laid out; tensors are named as the values.

    An operation that has no counterpart here becomes a custom op that holds the reason: a decode
    that is cut off may have any. What is left must be refused with `refuse_unread`.
    """
    values = Values(model, FEED)
    for node in model.nodes:
        _write(values, node)
    ends = {value: values.get(value).name for value in model.outputs}
    graph = values.builder.graph(list(dict.fromkeys(ends.values())))
    # Where two values are one tensor, an output's name is the one that people know.
    names = {made.name: value for value, made in values.made.items() if _is_plain(value)}
    names |= {made: value for value, made in ends.items() if _is_plain(value)}
    del names[FEED]
    kept = {made: value for made, value in names.items() if made in graph.tensors}
    orders = {value: values.made[value].order for value in kept.values()}
    return renamed(graph, kept), orders


def _write(values: Values, node: OnnxNode) -> None:
    """Write a node, or what stands for it."""
    try:
        source = _source_of_gelu(values, node)
        gelu = replace(node, op="Gelu", inputs=(source,), attrs={}) if source else node
        values.add(gelu, HANDLERS)
    except ModelError as error:
        values.leave(node, str(error))
    except MALFORMED as error:
        values.leave(
            node, f"expected {node} to fit what it reads, found that it does not ({_reason(error)})"
        )


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:MAX_NAME]


def refuse_unread(graph: Graph, path: Path) -> None:
    """Refuse a graph with an operation that is not read here.

    Raises:
        ModelError: It has one; the message says why, and the way out.
    """
    for op in graph.ops:
        if op.custom is not None:
            raise ModelError(f"{path}: {op.custom.decode()}; {WAY_OUT}")


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME


def _source_of_gelu(values: Values, node: OnnxNode) -> str:
    """Return x of a node that gives x (1 + erf(x / sqrt 2)) / 2: TFLite has GELU, but no Erf."""
    for product, last in permutations(node.inputs, 2) if node.op == "Mul" else ():
        for value, source, half in permutations((*values.inputs_of(product, "Mul"), last), 3):
            if source == _source_of_erf(values, value) and values.is_number(half, 0.5):
                return source
    return ""


def _source_of_erf(values: Values, name: str) -> str:
    """Return x of a value that is 1 + erf(x / sqrt 2)."""
    for erf, one in permutations(values.inputs_of(name, "Add"), 2):
        for scaled in values.inputs_of(erf, "Erf") if values.is_number(one, 1) else ():
            for op, number in (("Div", 2**0.5), ("Mul", 2**-0.5)):
                found = values.inputs_of(scaled, op)
                if found and values.is_number(found[1], number):
                    return found[0]
    return ""
