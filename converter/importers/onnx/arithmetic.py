"""ONNX operations on each number by itself, on pairs, on matrices and along axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.importers.onnx.file import FLOAT_TYPES
from converter.importers.onnx.values import IMAGE, Made
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx.values import Call, Handler

UNARY = {
    "Abs": "ABS", "Ceil": "CEIL", "Cos": "COS", "Exp": "EXP", "Floor": "FLOOR",
    "HardSwish": "HARD_SWISH", "Log": "LOG", "Relu": "RELU", "Sigmoid": "LOGISTIC", "Sin": "SIN",
    "Sqrt": "SQRT", "Tanh": "TANH",
}  # fmt: skip
BINARY = {
    "Add": "ADD", "Div": "DIV", "Max": "MAXIMUM", "Min": "MINIMUM", "Mul": "MUL", "Pow": "POW",
    "Sub": "SUB", "Sum": "ADD",
}  # fmt: skip
REDUCED = {"ReduceMax": "REDUCE_MAX", "ReduceMean": "MEAN", "ReduceMin": "REDUCE_MIN",
           "ReduceSum": "SUM", "ReduceProd": "REDUCE_PROD", "ReduceL2": "SUM"}  # fmt: skip
SIX = 6.0
SOFTMAX_BY_AXIS_SINCE = 13
MATRIX_AXES = 2
INT64 = 4  # the schema: TensorType


def _cast(call: Call) -> Made:
    if call.attr("to") not in FLOAT_TYPES:
        raise ModelError(f"expected {call.node} to a float type, found another")
    shape, dtype = call.builder.shape(call.x), call.builder.dtype(call.x)
    if dtype == "float32":
        return call.made
    return call.alike(call.builder.add("CAST", [call.x], shape, dtype="float32"))


def _prelu(call: Call) -> Made:
    slope = call.required(1)
    if slope.size == 1:
        return call.unary("LEAKY_RELU", alpha=float(slope.reshape(-1)[0]))
    made = call.made
    order = IMAGE if len(made.order) == len(IMAGE) else made.order
    whole = slope.reshape((1,) * (len(order) - slope.ndim) + slope.shape).transpose(order)
    inputs = [made.laid(order), call.builder.constant(whole[0])]
    name = call.builder.add("PRELU", inputs, call.builder.shape(inputs[0]))
    return Made(call.builder, name, order)


def _clip(call: Call) -> Made:
    builder, name = call.builder, call.x
    low, high = call.setting("min", 1), call.setting("max", 2)
    if low == [0] and high == [SIX]:
        return call.unary("RELU6")
    if low == [0]:
        name = builder.unary("RELU", name)
    elif low is not None and np.isfinite(low[0]):
        name = builder.binary("MAXIMUM", name, builder.number(low[0]))
    if high is not None and np.isfinite(high[0]):
        name = builder.binary("MINIMUM", name, builder.number(high[0]))
    return call.alike(name)


def _hard_sigmoid(call: Call) -> Made:
    """Write clip(alpha x + beta, 0, 1) as relu6(6 alpha x + 6 beta) / 6."""
    builder, alpha, beta = call.builder, call.attr("alpha", 0.2), call.attr("beta", 0.5)
    value = call.x if np.isclose(alpha, 1 / SIX) else builder.scaled(call.x, SIX * alpha)
    clipped = builder.unary("RELU6", builder.shifted(value, SIX * beta))
    return call.alike(builder.scaled(clipped, 1 / SIX))


def _binary(call: Call) -> Made:
    order = call.common_order()
    name, *others = (call.operand(value, order) for value in call.node.inputs)
    for other in others:
        name = call.builder.binary(BINARY[call.node.op], name, other)
    shape = call.builder.shape(name)  # of one value alone it may lack axes
    name = call.builder.reshape(name, (1,) * (len(order) - len(shape)) + shape)
    return Made(call.builder, name, order)


def _power(call: Call) -> Made:
    is_square = call.values.is_number(call.node.inputs[1], 2)
    return call.alike(call.builder.binary("MUL", call.x, call.x)) if is_square else _binary(call)


def _batch_normalization(call: Call) -> Made:
    scale, shift, mean, variance = (call.required(n).astype(np.float64) for n in range(1, 5))
    factor = scale / np.sqrt(variance + call.attr("epsilon", 1e-5))
    order, builder = call.made.order, call.builder
    along = [-1 if axis == 1 else 1 for axis in order]
    rows = [builder.constant(row.reshape(along)) for row in (factor, shift - mean * factor)]
    return call.alike(builder.binary("ADD", builder.binary("MUL", call.x, rows[0]), rows[1]))


def _matmul(call: Call) -> Made:
    left, right = call.made, call.values.get(call.node.inputs[1])
    rank = max(len(left.order), len(right.order))
    if min(len(left.order), len(right.order)) < MATRIX_AXES:
        raise ModelError(f"expected {call.node} of matrices, found a vector")
    weights = call.values.constants.get(call.node.inputs[1])
    if weights is not None and weights.ndim == MATRIX_AXES:
        turned = np.ascontiguousarray(weights.T)
        name = call.builder.fully_connected(left.plain(), turned, None)
    else:
        name = call.builder.matmul(*(side.with_rank(rank).plain() for side in (left, right)))
    return Made(call.builder, name, tuple(range(rank)))


def _gemm(call: Call) -> Made:
    weights = call.required(1) * np.float32(call.attr("alpha", 1.0))
    weights = weights if call.attr("transB", 0) else weights.T  # (Cout, Cin)
    left = call.made.transposed((1, 0)) if call.attr("transA", 0) else call.made
    bias = call.constant(2)
    if bias is not None:
        if bias.size not in (1, len(weights)):
            raise ModelError(f"expected {call.node} with one bias a column, found a matrix")
        bias = np.broadcast_to(bias.reshape(-1) * call.attr("beta", 1.0), len(weights))
    turned = np.ascontiguousarray(weights)
    name = call.builder.fully_connected(left.plain(), turned, bias)
    return Made(call.builder, name, (0, 1))


def _softmax(call: Call) -> Made:
    """Write a softmax over an axis; before opset 13, over it and all behind it as one."""
    by_axis = call.node.opset >= SOFTMAX_BY_AXIS_SINCE
    axis, made = call.axis(-1 if by_axis else 1), call.made
    shape = made.shape
    if not by_axis and np.prod(shape[axis + 1 :]) > 1:
        made = made.reshaped((int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))))
        axis = 1
    order = (*(each for each in made.order if each != axis), axis)
    kind = {"LogSoftmax": "LOG_SOFTMAX", "Softmax": "SOFTMAX"}[call.node.op]
    options = {"beta": 1.0} if kind == "SOFTMAX" else {}
    name = call.builder.unary(kind, made.laid(order), **options)
    return Made(call.builder, name, order).reshaped(shape)


def _reduce(call: Call) -> Made:
    made, builder, name = call.made, call.builder, call.x
    rank = len(made.order)
    axes = [int(axis) % rank for axis in call.setting("axes", 1) or range(rank)]
    if call.node.op == "ReduceL2":
        name = builder.binary("MUL", name, name)
    stored = [made.order.index(axis) for axis in axes]
    name = builder.reduce(REDUCED[call.node.op], name, stored)
    if call.node.op == "ReduceL2":
        name = builder.unary("SQRT", name)
    return _reduced(call, made.alike(name), axes=axes)


def _arg_max(call: Call) -> Made:
    made, axis = call.made, call.axis()
    if call.attr("select_last_index", 0):
        raise ModelError(f"expected {call.node} to take the first of equals, found last")
    place = made.order.index(axis)
    stored = call.builder.shape(made.name)
    before, behind = stored[:place], stored[place + 1 :]
    inputs = [made.name, call.builder.numbers(place)]
    name = call.builder.add("ARG_MAX", inputs, (*before, *behind), dtype="int64", outputType=INT64)
    found = made.alike(call.builder.reshape(name, (*before, 1, *behind)))
    return _reduced(call, found, axes=[axis])


def _reduced(call: Call, made: Made, *, axes: list[int]) -> Made:
    """Drop axes of size 1, unless they are kept."""
    if call.attr("keepdims", 1):
        return made
    return made.reshaped([side for axis, side in enumerate(made.shape) if axis not in axes])


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(UNARY, lambda call: call.unary(UNARY[call.node.op])),
    **dict.fromkeys(BINARY, _binary),
    **dict.fromkeys(REDUCED, _reduce),
    **dict.fromkeys(("Dropout", "Identity"), lambda call: call.made),
    "ArgMax": _arg_max,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Elu": lambda call: call.alike(call.builder.elu(call.x, call.attr("alpha", 1.0))),
    "Gelu": lambda call: call.unary("GELU", approximate=call.attr("approximate") == b"tanh"),
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": lambda call: call.unary("LEAKY_RELU", alpha=float(call.attr("alpha", 0.01))),
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "Mish": lambda call: call.alike(call.builder.mish(call.x)),
    # A product, as NEG has no int8 kernel.
    "Neg": lambda call: call.alike(call.builder.scaled(call.x, -1)),
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": lambda call: call.alike(
        call.builder.binary("DIV", call.builder.number(1), call.x)
    ),
    "Softmax": _softmax,
    "Softplus": lambda call: call.alike(call.builder.softplus(call.x)),
}
