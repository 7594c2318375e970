"""Float `.tflite` to a quantised one, with ranges of our own: two quantisers, one way to call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from converter import flatbuffer as fb
from converter.inspect_graph import GraphTables, OpRow, read_tables
from converter.quantize.dead_filters import with_live_filters
from converter.quantize.fast_relu import with_fast_relus
from converter.quantize.islands import (
    counted,
    described,
    islands,
    names_of,
    refuse_float,
    selected,
    unwanted,
)
from converter.quantize.quantize_litert import quantize_litert, rules_of
from converter.quantize.quantize_tflite import quantize_tflite
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration.ranges import Range
    from converter.quantize.recipe import Recipe

Backend = Literal["litert", "tflite_converter"]
NAMES = {"litert": "litert-quantizer", "tflite_converter": "TensorFlow's quantiser"}
TOOLS: dict[Backend, tuple[str, ...]] = {
    "litert": ("litert-quantizer",),
    "tflite_converter": ("tensorflow",),
}
# Ops that hand values on unchanged: both sides take one range.
COPYING = ("CONCATENATION", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised model, and how it came to be.

    Attributes:
        flatbuffer: The bare model.
        quantizer: Which made it.
        reason: Why that one, in words.
        islands: Ops inside that compute otherwise than the recipe says: `float32` or `int16`, to
            kind, to count. Empty for a plain int8 model.
    """

    flatbuffer: bytes
    quantizer: Backend
    reason: str
    islands: dict[str, dict[str, int]] = field(default_factory=dict)

    def describe(self, recipe: Recipe) -> str:
        """Return how it was made, for the manifest and the report."""
        words = f"quantised after training with recipe {recipe.name} by {NAMES[self.quantizer]}"
        repairs = ", ".join(repair.replace("_", " ") for repair in recipe.repairs)
        parts = [f"{words} ({self.reason})"]
        parts += [f"repairs: {repairs}"] if repairs else []
        parts += [*described(self.islands), *filter(None, [recipe.purpose])]
        return "; ".join(parts)


def quantize(
    flatbuffer: bytes, ranges: dict[str, Range], recipe: Recipe, *, path: Path
) -> Quantized:
    """Quantise a bare float model; the same arguments give the same bytes.

    Args:
        flatbuffer: The float model.
        ranges: Of its input and of every tensor that it computes, by name; empty where the recipe
            `needs_ranges` not.
        recipe: How.
        path: For messages.

    Raises:
        ModelError: A range is missing, the quantiser refuses the model, or leaves an op float that
            no rule kept.
        ConfigError: A rule of the recipe fits no op of this model, or not this quantiser.
        DependencyError: The quantiser is not installed.
    """
    tables = read_tables(flatbuffer, path)
    job = _Job(
        flatbuffer=flatbuffer,
        ranges=_joined(tables, ranges, path) if recipe.needs_ranges else {},
        recipe=recipe,
        kept_float=_named(tables, selected(tables, recipe.keep_float, path)),
        kept_int16=_named(tables, selected(tables, recipe.keep_int16, path)),
        outputs=[tables.tensors[index].name for index in tables.outputs],
        path=path,
    )
    if recipe.quantizer == "auto":
        return _choose(job)
    made, left = _attempt(job, recipe.quantizer, reason="as the recipe says")
    refuse_float(left, path, quantizer=recipe.quantizer)
    return made


@dataclass(frozen=True, slots=True)
class _Job:
    """What either quantiser needs; kept are (kind, names of outputs) of the ops that rules keep.

    Attributes:
        outputs: Names of the float model's output tensors, in its order.
    """

    flatbuffer: bytes
    ranges: dict[str, Range]
    recipe: Recipe
    kept_float: list[tuple[str, list[str]]]
    kept_int16: list[tuple[str, list[str]]]
    outputs: list[str]
    path: Path


def _choose(job: _Job) -> Quantized:
    """Return litert-quantizer's result, unless it leaves an op float: then TensorFlow's.

    What it leaves float stands in no public table, so it is tried: 0.5 s beside the images' minute.
    """
    made, left = _attempt(job, "litert", reason="it leaves no op float")
    if not left:
        return made
    if job.kept_int16:
        raise ModelError(
            f"{job.path}: litert-quantizer leaves float {counted(left)}, and TensorFlow's "
            "quantiser has no int16 layers; keep the layers float instead"
        )
    reason = f"litert-quantizer leaves float {counted(left)}"
    made, left = _attempt(job, "tflite_converter", reason=reason)
    refuse_float(left, job.path, quantizer="tflite_converter")
    return made


def _attempt(job: _Job, quantizer: Backend, *, reason: str) -> tuple[Quantized, dict[str, int]]:
    """Return what a quantiser makes, and the float ops that no rule kept, by kind."""
    quantized = with_fast_relus(BACKENDS[quantizer](job))
    flatbuffer = fb.with_output_names(quantized, job.outputs)
    tables = read_tables(flatbuffer, job.path)
    made = Quantized(flatbuffer, quantizer, reason, islands(tables, job.recipe))
    return made, unwanted(tables, job.recipe, [kind for kind, _ in job.kept_float])


def _by_litert(job: _Job) -> bytes:
    rules = rules_of(
        job.recipe,
        kept_float=[names for _, names in job.kept_float],
        kept_int16=[names for _, names in job.kept_int16],
    )
    live = with_live_filters(job.flatbuffer, job.ranges, activations=job.recipe.activations)
    return quantize_litert(live, job.ranges, rules, path=job.path)


def _by_tflite(job: _Job) -> bytes:
    if job.kept_int16:
        raise ConfigError(
            f"recipe {job.recipe.name}: TensorFlow's quantiser has no int16 layers; "
            "keep them float, or choose --recipe int8"
        )
    firsts = [names[0] for _, names in job.kept_float]
    return quantize_tflite(job.flatbuffer, job.ranges, float_names=firsts)


BACKENDS: dict[Backend, Callable[[_Job], bytes]] = {
    "litert": _by_litert,
    "tflite_converter": _by_tflite,
}


def _named(tables: GraphTables, ops: tuple[OpRow, ...]) -> list[tuple[str, list[str]]]:
    return [(op.kind, names_of(tables, op)) for op in ops if op.outputs]


def join_copies(tables: GraphTables, ranges: dict[str, Range]) -> dict[str, Range]:
    """Return the ranges with the inputs of ops that only copy values on the range of the output.

    A concatenation's inputs must have its scale. Left to itself the quantiser puts a QUANTIZE
    before each that has not, which rounds twice: 10 such ops on SSDLite. The range is handed on
    backwards, from the model's outputs to what computes them, where nothing else reads the tensor.
    """
    joined = dict(ranges)
    readers = Counter(index for op in tables.ops for index in op.inputs)
    for op in reversed(tables.ops):
        if op.kind not in COPYING:
            continue
        target = joined[tables.tensors[op.outputs[0]].name]
        for index in op.inputs:
            name = tables.tensors[index].name
            if readers[index] == 1 and name in joined:
                joined[name] = target
    return joined


def _joined(tables: GraphTables, ranges: dict[str, Range], path: Path) -> dict[str, Range]:
    computed = {index for op in tables.ops for index in op.outputs} | set(tables.inputs)
    needed = (tables.tensors[index] for index in sorted(computed))
    for tensor in needed:
        if tensor.dtype == "FLOAT32" and tensor.name not in ranges:
            raise ModelError(
                f"{path}: expected a range for each computed tensor, found none for "
                f"{tensor.name!r}; calibrate with this very model"
            )
    return join_copies(tables, ranges)
