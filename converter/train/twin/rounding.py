"""int8 in a twin: weights a symmetric scale a filter, activations a range a tensor that trains.

What is rounded passes its gradient on as if it were not; the ends of a range get those of what they
cut off. Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", section 3 and eq. 12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from calibration.ranges import Range
from converter.graph.edits import with_values
from converter.graph.fusing import WEIGHTED
from converter.quantize.repairs.weights import INT8_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.graph.values import Graph

    Array = NDArray[np.float32]

LEVELS, LOWEST = 255, -128
# Of the narrowest range, and of a filter without weights.
LEAST = 1e-6
# Ops whose kernels read and make one scale; what most of them make is on its grid already.
MIXING = ("AVERAGE_POOL_2D", "RESIZE_BILINEAR")
SAME_SCALE = (
    *MIXING, "CONCATENATION", "EXPAND_DIMS", "GATHER", "MAXIMUM", "MAX_POOL_2D", "MINIMUM",
    "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SLICE",
    "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
)  # fmt: skip
# Those whose kernels know one scale. Source: `activations.cc` of TensorFlow Lite.
FIXED = {"LOGISTIC": (0.0, 255 / 256), "SOFTMAX": (0.0, 255 / 256), "TANH": (-1.0, 127 / 128)}


class Rounder(keras.layers.Layer):  # type: ignore[misc]
    """One range and what it makes of tensors.

    Args:
        name: Of the layer.
        found: The range to begin with.
        trains: Whether it moves.
    """

    def __init__(self, name: str, found: Range, *, trains: bool) -> None:
        super().__init__(name=name)
        self.low, self.high = (
            keras.Variable(float(end), trainable=trains, name=f"{name}_{side}")
            for side, end in (("low", min(found.min, 0.0)), ("high", max(found.max, 0.0)))
        )
        self.built = True

    def range(self) -> Range:
        """Return it as it is now; 0 lies in it."""
        low, high = (float(ops.convert_to_numpy(end)) for end in (self.low, self.high))
        return Range(min(low, 0.0), max(high, 0.0, min(low, 0.0) + LEAST))

    def compute_output_spec(self, value: Any) -> Any:  # noqa: ANN401
        """Return the same shape."""
        return keras.KerasTensor(value.shape)

    def call(self, value: Any) -> Any:  # noqa: ANN401
        """Return the nearest of 256 numbers, of which one is 0."""
        low = ops.minimum(self.low, 0.0)
        high = ops.maximum(ops.maximum(self.high, 0.0), low + LEAST)
        held = ops.minimum(ops.maximum(value, low), high)
        scale = (high - low) / LEVELS
        zero = ops.round(LOWEST - low / scale)
        steps = ops.clip(ops.round(value / scale) + zero, LOWEST, LOWEST + LEVELS)
        return held + ops.stop_gradient((steps - zero) * scale - held)


def rounded_weights(weights: Any, axis: int) -> Any:  # noqa: ANN401 - tensors
    """Return weights as int8 has them, a scale for each place along an axis."""
    others = [each for each in range(len(weights.shape)) if each != axis]
    scale = ops.max(ops.abs(weights), axis=others, keepdims=True) / INT8_MAX
    scale = ops.stop_gradient(ops.maximum(scale, LEAST / INT8_MAX))
    return weights + ops.stop_gradient(ops.round(weights / scale) * scale - weights)


def rounders(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Rounder]:
    """Return what rounds each computed float tensor; tensors of one scale share it.

    Args:
        graph: Float.
        ranges: Of its inputs and of all that it computes.
    """
    heads: dict[str, str] = {}

    def head(name: str) -> str:
        while heads.get(name, name) != name:
            name = heads[name]
        return name

    for op in graph.ops:
        if op.kind in SAME_SCALE:
            first, *others = (name for name in (*op.inputs, *op.outputs) if name in ranges)
            for name in others:
                heads[head(name)] = head(first)
    members: dict[str, list[str]] = {}
    for name in ranges:
        members.setdefault(head(name), []).append(name)
    made: dict[str, Rounder] = {}
    for number, names in enumerate(members.values()):
        makers = [graph.producers[name].kind for name in names if name in graph.producers]
        ends = next((FIXED[kind] for kind in makers if kind in FIXED), None)
        found = Range(*ends) if ends else ranges[names[0]]
        for name in names if ends is None else ():
            found = found.merge(ranges[name])
        layer = Rounder(f"range{number}", found, trains=ends is None)
        made.update(dict.fromkeys(names, layer))
    return made


def with_rounded_constants(graph: Graph) -> Graph:
    """Return the graph whose constants that are no weights are those of int8."""
    values = {}
    for op in graph.ops:
        for name in op.inputs if op.kind not in WEIGHTED else ():
            value = graph.value(name) if name else None
            if value is not None and value.dtype == np.float32:
                values[name] = _rounded(value)
    return with_values(graph, values)


def _rounded(value: Array) -> Array:
    low, high = min(0.0, float(value.min())), max(0.0, float(value.max()))
    scale = max(high - low, LEAST) / LEVELS
    zero = np.rint(LOWEST - low / scale)
    steps = np.clip(np.rint(value / scale) + zero, LOWEST, LOWEST + LEVELS)
    return np.asarray((steps - zero) * scale, np.float32)
