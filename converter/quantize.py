"""Float `.tflite` to int8, with ranges of our own, through litert-quantizer; no TensorFlow."""

from __future__ import annotations

import contextlib
import io
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.ranges import Range
from converter.inspect_graph import GraphTables, read_tables, refuse_float
from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.recipe import Recipe

# Ops that hand values on unchanged: both sides take one range.
COPYING = ("CONCATENATION", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE")


def quantize(flatbuffer: bytes, ranges: dict[str, Range], recipe: Recipe, *, path: Path) -> bytes:
    """Quantise a bare float model; the same arguments give the same bytes.

    Args:
        flatbuffer: The float model.
        ranges: Of its input and of every tensor that it computes, by name.
        recipe: How.
        path: For messages.

    Raises:
        ModelError: A range is missing, or an op cannot be quantised.
        DependencyError: litert-quantizer is not installed.
    """
    try:
        from litert_quantizer import quantizer  # noqa: PLC0415 - a second of imports, optional
    except ImportError as error:
        raise DependencyError(
            "litert-quantizer is needed to quantise; type: pip install 'edge-vision[converter]'"
        ) from error
    tables = read_tables(flatbuffer, path)
    _check_complete(tables, ranges, path)
    ends = {name: _extremes(found) for name, found in join_copies(tables, ranges).items()}
    try:
        # Some of its progress bars ignore the switch for them.
        with contextlib.redirect_stderr(io.StringIO()):
            worker = quantizer.Quantizer(flatbuffer, [dict(rule) for rule in recipe.operations])
            result = worker.quantize(ends, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: litert-quantizer refuses this model: {reason}") from error
    quantized = bytes(result.quantized_model or b"")
    refuse_float(read_tables(quantized, path), path)
    return quantized


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


def _extremes(found: Range) -> dict[str, Any]:
    return {"min": np.array([found.min], np.float32), "max": np.array([found.max], np.float32)}
