"""Give filters without weights one tiny weight, so that litert-quantizer keeps their bias.

It takes a filter's scale from its weights; a filter whose weights are all zero gets one so small
that its bias, a multiple of it, is lost: the output is 0 instead of the bias. Measured with
litert-quantizer 0.11: 3.0 becomes 0.0. Dead filters are what pruning and weight decay leave behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import with_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.graph.values import Graph
    from converter.quantize.recipe import Activations

# Op to the axis of its weights that counts filters.
FILTER_AXES = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": -1}
INPUTS = 3  # activations, weights, bias
INT8_MAX, INT16_MAX, LEVELS = 127, 32767, 255
# What the bias becomes as an integer, far from the ends of int32. The weight then adds at most
# 127 * 255 / 2^28 of the bias, a ten-thousandth; with int16, 127 * 32767 / 2^28, a fiftieth.
BIAS_QUANTA = 2**28


def with_live_filters(
    graph: Graph, ranges: dict[str, Range], *, activations: Activations = "int8"
) -> Graph:
    """Return the float graph whose filters all have a weight if they have a bias.

    Args:
        graph: The float model.
        ranges: Of the input of each convolution, by tensor name.
        activations: What they will be quantised to.
    """
    values: dict[str, NDArray[np.float32]] = {}
    for op in graph.ops:
        if op.kind not in FILTER_AXES or len(op.inputs) != INPUTS or op.inputs[0] not in ranges:
            continue
        weights, bias = (graph.value(name) for name in op.inputs[1:])
        if weights is None or bias is None or not weights.dtype == bias.dtype == np.float32:
            continue
        found = ranges[op.inputs[0]].with_zero()
        live = _live(
            weights, bias, axis=FILTER_AXES[op.kind], input_scale=_scale(found, activations)
        )
        if live is not None:
            values[op.inputs[1]] = live
    return with_values(graph, values)


def _scale(found: Range, activations: Activations) -> float:
    if activations == "int16":
        return max(-found.min, found.max) / INT16_MAX
    return (found.max - found.min) / LEVELS


def _live(
    weights: NDArray[np.float32], bias: NDArray[np.float32], *, axis: int, input_scale: float
) -> NDArray[np.float32] | None:
    """Return the weights with a tiny one in each dead filter; `None` where none is dead."""
    filters = np.moveaxis(weights, axis, 0).reshape(len(bias), -1)  # (O, K)
    dead = ~filters.any(axis=1) & (bias != 0)
    if not dead.any() or not input_scale:
        return None
    live = np.array(np.moveaxis(weights, axis, 0))  # (O, ...)
    tiny = INT8_MAX * np.abs(bias) / (input_scale * BIAS_QUANTA)
    live.reshape(len(bias), -1)[dead, 0] = tiny[dead]
    return np.ascontiguousarray(np.moveaxis(live, 0, axis), np.float32)
