"""Float `.tflite` to a quantised one, with ranges of our own: two quantisers, one way to call."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from calibration.ranges import Range
from converter.inspect_graph import GraphTables, read_tables, refuse_float
from converter.quantize_litert import quantize_litert, rules_of
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.recipe import Recipe

# Ops that hand values on unchanged: both sides take one range.
COPYING = ("CONCATENATION", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised model, and how it came to be.

    Attributes:
        flatbuffer: The bare model.
        quantizer: `litert` or `tflite_converter`.
        reason: Why that one, in words.
        kept: Ops of the float model that a rule kept out of int8, by kind and tensor.
    """

    flatbuffer: bytes
    quantizer: Literal["litert", "tflite_converter"]
    reason: str
    kept: tuple[str, ...] = ()


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
        ModelError: A range is missing, or an op cannot be quantised.
        DependencyError: The quantiser is not installed.
    """
    tables = read_tables(flatbuffer, path)
    if recipe.needs_ranges:
        _check_complete(tables, ranges, path)
    found = quantize_litert(flatbuffer, join_copies(tables, ranges), rules_of(recipe), path=path)
    if recipe.needs_ranges:
        refuse_float(read_tables(found, path), path)
    return Quantized(found, "litert", "the recipe says so")


def saturate_scores(ranges: dict[str, Range], tensor: str, *, floor: float) -> dict[str, Range]:
    """Return the ranges with the raw scores' low end raised to ``logit(floor)``.

    Raw scores of SSDLite reach -35, where the sigmoid is 1e-15: levels spent on scores that no
    threshold will ever tell apart.
    """
    found = ranges[tensor]
    if floor <= 0:
        return ranges
    low = max(found.min, math.log(floor / (1 - floor)))
    return {**ranges, tensor: Range(min(low, found.max), found.max)}


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


def _check_complete(tables: GraphTables, ranges: dict[str, Range], path: Path) -> None:
    computed = {index for op in tables.ops for index in op.outputs} | set(tables.inputs)
    needed = (tables.tensors[index] for index in sorted(computed))
    for tensor in needed:
        if tensor.dtype == "FLOAT32" and tensor.name not in ranges:
            raise ModelError(
                f"{path}: expected a range for each computed tensor, found none for "
                f"{tensor.name!r}; calibrate with this very model"
            )
