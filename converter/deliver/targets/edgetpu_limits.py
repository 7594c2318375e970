"""Limits of single ops on the Edge TPU: each returns why an op would not be mapped, or nothing.

Source: Coral, "TensorFlow models on the Edge TPU", table of supported operations and their known
limitations, https://coral.ai/docs/edgetpu/models-intro/#supported-operations; the rules below
restate its rows for runtime version 14.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converter.graph.values import Graph, Op

MAPPED_AXES = 3  # innermost axes that may be longer than 1
Z_MULTIPLE = 4
MAX_SOFTMAX = 16_000
CONCAT_WITH_ZEROS = 2


def innermost_axes(op: Op, graph: Graph) -> str:
    """Refuse tensors of unknown shape, or of more than three axes longer than 1."""
    for name in (*graph.computed_inputs(op), *op.outputs):
        tensor = graph.tensors[name]
        if tensor.open_axes:
            return "its shape is only known when it runs"
        if math.prod(tensor.shape[:-MAPPED_AXES]) > 1:
            return "more than the 3 innermost axes are longer than 1"
    return ""


def plain(_op: Op, _graph: Graph) -> str:
    """Refuse nothing."""
    return ""


def no_activation(op: Op, _graph: Graph) -> str:
    """Refuse a fused activation."""
    return "" if op.activation == "NONE" else "it has a fused activation"


def concatenation(op: Op, graph: Graph) -> str:
    """Refuse a fused activation, and constants other than zeros put to one other input."""
    constants = [value for name in op.inputs if (value := graph.value(name)) is not None]
    if not constants:
        return no_activation(op, graph)
    if len(op.inputs) != CONCAT_WITH_ZEROS or any(value.any() for value in constants):
        return "it joins a constant that is not zeros beside one other input"
    return no_activation(op, graph)


def same_dilation(op: Op, _graph: Graph) -> str:
    """Refuse other dilation along y than along x."""
    rows, columns = op.dilations
    return "" if rows == columns else "its dilation along y and x differ"


def fully_connected(op: Op, graph: Graph) -> str:
    """Refuse shuffled weights, and an output of more than one axis."""
    if op.options.get("weightsFormat"):
        return "its weights are not in the default format"
    if math.prod(graph.shape(op.output)[:-1]) > 1:
        return "its output is not one-dimensional"
    return ""


def _axes(op: Op, graph: Graph) -> list[int]:
    rank, axes = len(graph.shape(op.inputs[0])), graph.value(op.inputs[1])
    return [0] if axes is None else [int(axis) % rank for axis in axes.ravel()]


def mean(op: Op, graph: Graph) -> str:
    """Refuse the batch axis, and a depth that is no multiple of 4."""
    axes, shape = _axes(op, graph), graph.shape(op.inputs[0])
    if len(shape) - 1 in axes and shape[-1] % Z_MULTIPLE:
        return f"it reduces a depth that is no multiple of {Z_MULTIPLE}"
    return no_batch_axis(op, graph)


def no_batch_axis(op: Op, graph: Graph) -> str:
    """Refuse a reduction over the batch."""
    return "it reduces the batch axis" if 0 in _axes(op, graph) else ""


def pack(op: Op, _graph: Graph) -> str:
    """Refuse to pack along the batch."""
    return "it packs along the batch axis" if op.options.get("axis") == 0 else ""


def pad(op: Op, graph: Graph) -> str:
    """Refuse to pad the batch."""
    paddings = graph.value(op.inputs[1])
    if paddings is None:
        return "its paddings are computed"
    return "it pads the batch axis" if paddings[0].any() else ""


def prelu(op: Op, graph: Graph) -> str:
    """Refuse slopes that differ along other axes than the last."""
    slopes = graph.shape(op.inputs[1])
    return "its slopes are not one for each channel" if math.prod(slopes[:-1]) > 1 else ""


def softmax(op: Op, graph: Graph) -> str:
    """Refuse more than one axis, and more than 16,000 values."""
    shape = graph.shape(op.inputs[0])
    if math.prod(shape[:-1]) > 1:
        return "its input is not one-dimensional"
    return f"it has over {MAX_SOFTMAX:,} values" if shape[-1] > MAX_SOFTMAX else ""


def split(op: Op, graph: Graph) -> str:
    """Refuse to split the batch."""
    axis = graph.value(op.inputs[0])
    return "it splits the batch axis" if axis is not None and not axis.any() else ""


def strided_slice(op: Op, graph: Graph) -> str:
    """Refuse strides other than 1, ellipses and new axes."""
    strides = graph.value(op.inputs[3])
    if strides is None or (strides != 1).any():
        return "its strides are not all 1"
    if op.options.get("ellipsisMask") or op.options.get("newAxisMask"):
        return "it has an ellipsis or a new axis"
    return ""


def weights_stored(op: Op, graph: Graph) -> str:
    """Refuse weights that are computed."""
    is_transposed = op.kind == "TRANSPOSE_CONV"
    weights = op.inputs[1]
    if not graph.is_constant(weights):
        return "its weights are computed"
    return "" if is_transposed else same_dilation(op, graph)
