"""ONNX operations on each value by itself, or on pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.onnx_values import IMAGE
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Order, Values

Handler = Callable[["Values", "OnnxNode"], None]
UNARY = {
    "Abs": "ABS", "Ceil": "CEIL", "Cos": "COS", "Exp": "EXP", "Floor": "FLOOR", "Log": "LOG",
    "Relu": "RELU", "Sigmoid": "LOGISTIC", "Sin": "SIN", "Sqrt": "SQRT", "Tanh": "TANH",
}  # fmt: skip
BINARY = {
    "Add": "ADD", "Div": "DIV", "Max": "MAXIMUM", "Min": "MINIMUM", "Mul": "MUL", "Pow": "POW",
    "Sub": "SUB", "Sum": "ADD",
}  # fmt: skip
SIX = 6.0
SQUARE = 2


def _same(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    values.keep(node, made.name, made.order)


def _cast(values: Values, node: OnnxNode) -> None:
    floats = (1, 10, 11)  # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE
    if node.attrs.get("to") not in floats:
        raise ModelError(f"expected Cast ({node.name}) to a float type, found another")
    _same(values, node)


def _unary(values: Values, node: OnnxNode) -> None:
    values.unary(node, UNARY[node.op])


def _negative(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])  # a product, as NEG has no int8 kernel
    values.keep(node, values.builder.scaled(made.name, -1), made.order)


def _reciprocal(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    one = values.builder.constant(np.array(1, np.float32))
    values.keep(node, values.builder.binary("DIV", one, made.name), made.order)


def _leaky_relu(values: Values, node: OnnxNode) -> None:
    values.unary(node, "LEAKY_RELU", alpha=float(node.attrs.get("alpha", 0.01)))


def _prelu(values: Values, node: OnnxNode) -> None:
    slope = values.required(node, 1)
    if slope.size == 1:
        values.unary(node, "LEAKY_RELU", alpha=float(slope.reshape(-1)[0]))
        return
    made = values.get(node.inputs[0])
    order = IMAGE if len(made.order) == len(IMAGE) else made.order
    whole = slope.reshape((1,) * (len(order) - slope.ndim) + slope.shape).transpose(order)
    inputs = [values.laid(made, order), values.builder.constant(whole[0])]
    values.keep(node, values.builder.add("PRELU", inputs, values.builder.shape(inputs[0])), order)


def _elu(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    alpha = float(node.attrs.get("alpha", 1.0))
    values.keep(node, values.builder.elu(made.name, alpha), made.order)


def _softplus(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    values.keep(node, values.builder.softplus(made.name), made.order)


def _mish(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    values.keep(node, values.builder.mish(made.name), made.order)


def _gelu(values: Values, node: OnnxNode) -> None:
    values.unary(node, "GELU", approximate=node.attrs.get("approximate", b"none") == b"tanh")


def _clip(values: Values, node: OnnxNode) -> None:
    made, builder = values.get(node.inputs[0]), values.builder
    low, high = values.setting(node, "min", 1), values.setting(node, "max", 2)
    found = made.name
    if low == [0] and high == [SIX]:
        found, high = builder.unary("RELU6", found), None
    elif low == [0]:
        found = builder.unary("RELU", found)
    elif low is not None and np.isfinite(low[0]):
        found = builder.binary("MAXIMUM", found, builder.constant(np.array(low[0], np.float32)))
    if high is not None and np.isfinite(high[0]):
        found = builder.binary("MINIMUM", found, builder.constant(np.array(high[0], np.float32)))
    values.keep(node, found, made.order)


def _hard_sigmoid(values: Values, node: OnnxNode) -> None:
    """Write clip(alpha x + beta, 0, 1) as relu6(6 alpha x + 6 beta) / 6."""
    made, builder = values.get(node.inputs[0]), values.builder
    alpha, beta = node.attrs.get("alpha", 0.2), node.attrs.get("beta", 0.5)
    value = made.name
    if not np.isclose(alpha, 1 / SIX):
        value = builder.scaled(value, SIX * alpha)
    clipped = builder.unary("RELU6", builder.shifted(value, SIX * beta))
    values.keep(node, builder.scaled(clipped, 1 / SIX), made.order)


def _hard_swish(values: Values, node: OnnxNode) -> None:
    values.unary(node, "HARD_SWISH")


def _binary(values: Values, node: OnnxNode) -> None:
    order = common_order(values, node)
    name = values.operand(node.inputs[0], order)
    for value in node.inputs[1:]:
        name = values.builder.binary(BINARY[node.op], name, values.operand(value, order))
    shape = values.builder.shape(name)
    if len(shape) < len(order):  # of one value alone
        name = values.builder.reshape(name, (1,) * (len(order) - len(shape)) + shape)
    values.keep(node, name, order)


def _power(values: Values, node: OnnxNode) -> None:
    exponent = values.constants.get(node.inputs[1])
    made = values.made.get(node.inputs[0])
    if made is None or exponent is None or exponent.size != 1 or exponent.reshape(-1)[0] != SQUARE:
        _binary(values, node)
        return
    values.keep(node, values.builder.binary("MUL", made.name, made.name), made.order)


def common_order(values: Values, node: OnnxNode) -> Order:
    """Return how the computed operands with the most axes are laid out, an image's if one is so."""
    known = [values.get(value) for value in node.inputs if value not in values.constants]
    rank = max(len(values.shape(value)) for value in node.inputs)
    orders = [made.order for made in known if len(made.order) == rank]
    if IMAGE in orders or (not orders and rank == len(IMAGE)):
        return IMAGE
    return orders[0] if orders else tuple(range(rank))


def _batch_normalization(values: Values, node: OnnxNode) -> None:
    scale, shift, mean, variance = (
        values.required(node, place).astype(np.float64) for place in range(1, 5)
    )
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    made, builder = values.get(node.inputs[0]), values.builder
    channels = made.order.index(1)
    along = [-1 if axis == channels else 1 for axis in range(len(made.order))]
    rows = [builder.constant(row.reshape(along)) for row in (factor, shift - mean * factor)]
    found = builder.binary("ADD", builder.binary("MUL", made.name, rows[0]), rows[1])
    values.keep(node, found, made.order)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Dropout": _same,
    "Elu": _elu,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _same,
    "LeakyRelu": _leaky_relu,
    "Mish": _mish,
    "Neg": _negative,
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": _reciprocal,
    "Softplus": _softplus,
}
