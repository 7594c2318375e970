"""ONNX operations that multiply matrices, or reduce or normalise along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.onnx_values import Made, plain
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]
REDUCED = {"ReduceMax": "REDUCE_MAX", "ReduceMean": "MEAN", "ReduceMin": "REDUCE_MIN",
           "ReduceSum": "SUM", "ReduceProd": "REDUCE_PROD", "ReduceL2": "SUM"}  # fmt: skip
SOFTMAX_BY_AXIS_SINCE = 13
MATRIX_AXES = 2
INT64 = 4  # the schema: TensorType


def _matmul(values: Values, node: OnnxNode) -> None:
    first, second = node.inputs
    right = values.constants.get(second)
    left = values.get(first)
    if right is not None and right.ndim == MATRIX_AXES and len(left.order) >= MATRIX_AXES:
        rank = len(left.order)
        name = values.builder.fully_connected(
            values.laid(left, plain(rank)), np.ascontiguousarray(right.T), None
        )
    else:
        rank = max(len(values.shape(first)), len(values.shape(second)))
        if min(len(values.shape(first)), len(values.shape(second))) < MATRIX_AXES:
            raise ModelError(f"expected MatMul ({node.name}) of matrices, found a vector")
        order = plain(rank)
        name = values.builder.matmul(values.operand(first, order), values.operand(second, order))
    values.keep(node, name, plain(rank))


def _gemm(values: Values, node: OnnxNode) -> None:
    weights = values.required(node, 1) * np.float32(node.attrs.get("alpha", 1.0))
    bias = values.constant(node, 2)
    left = values.get(node.inputs[0])
    if node.attrs.get("transA", 0):
        left = values.transposed(left, (1, 0))
    weights = weights if node.attrs.get("transB", 0) else weights.T  # (Cout, Cin)
    if bias is not None:
        if bias.size not in (1, len(weights)):
            raise ModelError(f"expected Gemm ({node.name}) with one bias a column, found a matrix")
        bias = np.broadcast_to(bias.reshape(-1) * node.attrs.get("beta", 1.0), len(weights))
    name = values.builder.fully_connected(
        values.laid(left, plain(MATRIX_AXES)), np.ascontiguousarray(weights), bias
    )
    values.keep(node, name, plain(MATRIX_AXES))


def _softmax(values: Values, node: OnnxNode) -> None:
    """Write a softmax over an axis; before opset 13, over it and all behind it as one."""
    made = values.get(node.inputs[0])
    shape = values.shape_of(made)
    by_axis = values.opset >= SOFTMAX_BY_AXIS_SINCE
    axis = node.attrs.get("axis", -1 if by_axis else 1) % len(shape)
    if not by_axis and np.prod(shape[axis + 1 :]) > 1:
        flat = values.reshaped(made, (int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))))
        found = values.reshaped(_softmax_over(values, node, flat, axis=1), shape)
    else:
        found = _softmax_over(values, node, made, axis=axis)
    values.keep(node, found.name, found.order)


def _softmax_over(values: Values, node: OnnxNode, made: Made, *, axis: int) -> Made:
    order = (*(each for each in made.order if each != axis), axis)
    laid = values.laid(made, order)
    if node.op == "LogSoftmax":
        return Made(values.builder.unary("LOG_SOFTMAX", laid), order)
    return Made(values.builder.unary("SOFTMAX", laid, beta=1.0), order)


def _reduce(values: Values, node: OnnxNode) -> None:
    made, builder = values.get(node.inputs[0]), values.builder
    rank = len(made.order)
    axes = [int(axis) % rank for axis in values.setting(node, "axes", 1) or range(rank)]
    name = made.name
    if node.op == "ReduceL2":
        name = builder.binary("MUL", name, name)
    name = builder.reduce(REDUCED[node.op], name, [made.order.index(axis) for axis in axes])
    if node.op == "ReduceL2":
        name = builder.unary("SQRT", name)
    _keep_reduced(values, node, Made(name, made.order), axes=axes)


def _arg_max(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    axis = node.attrs.get("axis", 0) % len(made.order)
    if node.attrs.get("select_last_index", 0):
        raise ModelError(f"expected ArgMax ({node.name}) to take the first of equals, found last")
    place = made.order.index(axis)
    stored = list(values.builder.shape(made.name))
    del stored[place]
    inputs = [made.name, values.builder.numbers(place)]
    name = values.builder.add("ARG_MAX", inputs, tuple(stored), dtype="int64", outputType=INT64)
    stored.insert(place, 1)
    name = values.builder.reshape(name, tuple(stored))
    _keep_reduced(values, node, Made(name, made.order), axes=[axis])


def _keep_reduced(values: Values, node: OnnxNode, made: Made, *, axes: list[int]) -> None:
    if not node.attrs.get("keepdims", 1):
        shape = values.shape_of(made)
        made = values.reshaped(made, [side for axis, side in enumerate(shape) if axis not in axes])
    values.keep(node, made.name, made.order)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(REDUCED, _reduce),
    "ArgMax": _arg_max,
    "Gemm": _gemm,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "Softmax": _softmax,
}
