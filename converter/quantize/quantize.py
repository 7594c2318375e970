"""Float `.tflite` to a quantised one, with ranges of our own: two quantisers, one way to call."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from converter.graph.edits import renamed
from converter.graph.reading import read
from converter.graph.writing import write
from converter.jobs.child import job_folder, run_child
from converter.quantize.dead_filters import with_live_filters
from converter.quantize.fast_relu import with_fast_relus
from converter.quantize.islands import (
    counted,
    described,
    islands,
    refuse_float,
    selected,
    unwanted,
)
from converter.quantize.quantize_litert import quantize_litert, rules_of
from converter.quantize.repairs.gains import with_their_gains
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration.ranges import Range
    from converter.graph.values import Graph, Op
    from converter.quantize.recipe import Recipe

Backend = Literal["litert", "tflite_converter"]
NAMES = {"litert": "litert-quantizer", "tflite_converter": "TensorFlow's quantiser"}
TOOLS: dict[Backend, tuple[str, ...]] = {
    "litert": ("litert-quantizer",),
    "tflite_converter": ("tensorflow",),
}
MIB, SHEET = 2**20, 2  # axes
# From here on litert-quantizer makes chunks.
LITERT_BYTES = 32 * MIB
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


def quantize(graph: Graph, ranges: dict[str, Range], recipe: Recipe, *, path: Path) -> Quantized:
    """Quantise a float model; the same arguments give the same bytes.

    Args:
        graph: The float model.
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
    job = _Job(
        graph=graph,
        ranges=_joined(graph, ranges, path) if recipe.needs_ranges else {},
        recipe=recipe,
        kept_float=with_their_gains(graph, selected(graph, recipe.keep_float, path)),
        kept_int16=selected(graph, recipe.keep_int16, path),
        path=path,
    )
    if recipe.quantizer == "auto":
        return _choose(job)
    made, left = _attempt(job, recipe.quantizer, reason="as the recipe says")
    refuse_float(left, path, quantizer=recipe.quantizer)
    return made


@dataclass(frozen=True, slots=True)
class _Job:
    """What either quantiser needs, and the ops that rules keep."""

    graph: Graph
    ranges: dict[str, Range]
    recipe: Recipe
    kept_float: tuple[Op, ...]
    kept_int16: tuple[Op, ...]
    path: Path


def _choose(job: _Job) -> Quantized:
    """Return litert-quantizer's result, unless it leaves an op float: then TensorFlow's.

    What it leaves float stands in no public table, so it is tried: 0.5 s beside the images' minute.
    """
    reason = _too_large(job.graph)
    if not reason:
        made, left = _attempt(job, "litert", reason="it leaves no op float")
        if not left:
            return made
        reason = f"litert-quantizer leaves float {counted(left)}"
    if job.kept_int16:
        raise ModelError(
            f"{job.path}: {reason}, and TensorFlow's quantiser has no int16 layers; keep the "
            "layers float instead"
        )
    made, left = _attempt(job, "tflite_converter", reason=reason)
    refuse_float(left, job.path, quantizer="tflite_converter")
    return made


def _attempt(job: _Job, quantizer: Backend, *, reason: str) -> tuple[Quantized, dict[str, int]]:
    """Return what a quantiser makes, and the float ops that no rule kept, by kind."""
    graph = with_fast_relus(read(BACKENDS[quantizer](job), job.path))
    graph = renamed(graph, dict(zip(graph.outputs, job.graph.outputs, strict=True)))
    made = Quantized(write(graph), quantizer, reason, islands(graph, job.recipe))
    return made, unwanted(graph, job.recipe, [op.kind for op in job.kept_float])


def _too_large(graph: Graph) -> str:
    """Return why litert-quantizer cannot quantise a graph, empty where it can.

    Weights of more than 32 MiB it takes in chunks of two dimensions, which scales of four do not
    fit: `uniform_quantize` of 0.11.0.
    """
    for op in graph.ops:
        for name in op.inputs:
            value = graph.value(name) if name else None
            if value is not None and value.ndim > SHEET and value.nbytes > LITERT_BYTES:
                return (
                    f"litert-quantizer cannot quantise weights of more than "
                    f"{LITERT_BYTES // MIB} MiB, {op.kind} for {op.output!r} has "
                    f"{value.nbytes / MIB:.0f}"
                )
    return ""


def _by_litert(job: _Job) -> bytes:
    if reason := _too_large(job.graph):
        raise ModelError(f"{job.path}: {reason}; leave the recipe's quantizer at auto")
    rules = rules_of(
        job.recipe,
        kept_float=[op.outputs for op in job.kept_float],
        kept_int16=[op.outputs for op in job.kept_int16],
    )
    live = with_live_filters(job.graph, job.ranges, activations=job.recipe.activations)
    return quantize_litert(write(live), job.ranges, rules, path=job.path)


def _by_tflite(job: _Job) -> bytes:
    """Quantise by TensorFlow's own quantiser, with ranges of our own, in a child process.

    It gives int8 to LEAKY_RELU, TILE and others that litert-quantizer leaves float, and writes the
    op versions that readers other than LiteRT look for. It takes a float `.tflite` whose tensors
    carry their ranges, as TFLiteConverter's calibration would leave it. Measured: on
    SSDLite-MobileNetV2 all 114 activation scales are those of the ranges, bit for bit what
    litert-quantizer writes; where ops must share a scale (into a CONCATENATION, out of a
    MAX_POOL_2D) it chooses one of theirs.
    """
    if job.kept_int16:
        raise ConfigError(
            f"recipe {job.recipe.name}: TensorFlow's quantiser has no int16 layers; "
            "keep them float, or choose --recipe int8"
        )
    with job_folder() as folder:
        noted = {name: (found.min, found.max) for name, found in job.ranges.items()}
        (folder / "float.tflite").write_bytes(write(job.graph, ranges=noted))
        names = {"float_names": sorted(op.output for op in job.kept_float)}
        run_child("converter.jobs.quantize_job", folder, job=names, purpose="quantise this model")
        return (folder / "quantized.tflite").read_bytes()


BACKENDS: dict[Backend, Callable[[_Job], bytes]] = {
    "litert": _by_litert,
    "tflite_converter": _by_tflite,
}


def join_copies(graph: Graph, ranges: dict[str, Range]) -> dict[str, Range]:
    """Return the ranges with the inputs of ops that only copy values on the range of the output.

    A concatenation's inputs must have its scale. Left to itself the quantiser puts a QUANTIZE
    before each that has not, which rounds twice: 10 such ops on SSDLite. The range is handed on
    backwards, from the model's outputs to what computes them, where nothing else reads the tensor.
    """
    joined = dict(ranges)
    readers = Counter(name for op in graph.ops for name in op.inputs)
    for op in reversed(graph.ops):
        if op.kind not in COPYING:
            continue
        for name in op.inputs:
            if readers[name] == 1 and name in joined:
                joined[name] = joined[op.output]
    return joined


def _joined(graph: Graph, ranges: dict[str, Range], path: Path) -> dict[str, Range]:
    for name in (*graph.inputs, *graph.producers):
        if graph.tensors[name].dtype == "float32" and name not in ranges:
            raise ModelError(
                f"{path}: expected a range for each computed tensor, found none for "
                f"{name!r}; calibrate with this very model"
            )
    return join_copies(graph, ranges)
