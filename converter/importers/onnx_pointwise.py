"""ONNX operations on each value by itself, or on pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.onnx_values import IMAGE_AXES, last
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_file import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]
UNARY = {
    "Abs": "Abs", "Elu": "Elu", "Exp": "Exp", "Neg": "Neg", "Relu": "Relu", "Sigmoid": "Sigmoid",
    "Softplus": "Softplus", "Sqrt": "Sqrt", "Tanh": "Tanh",
}  # fmt: skip
BINARY = {
    "Add": "AddV2", "Div": "RealDiv", "Max": "Maximum", "Min": "Minimum", "Mul": "Mul",
    "Pow": "Pow", "Sub": "Sub",
}  # fmt: skip
SIX = 6.0


def _same(values: Values, node: OnnxNode) -> None:
    values.keep(node, values.made[node.inputs[0]], image=node.inputs[0] in values.images)


def _unary(values: Values, node: OnnxNode) -> None:
    values.pointwise(node, UNARY[node.op])


def _leaky_relu(values: Values, node: OnnxNode) -> None:
    values.pointwise(node, "LeakyRelu", {"alpha": {"f": float(node.attrs.get("alpha", 0.01))}})


def _clip(values: Values, node: OnnxNode) -> None:
    low, high = values.constant(node, 1), values.constant(node, 2)
    if low is None or high is None or float(low) != 0 or float(high) != SIX:
        raise ModelError(f"expected Clip ({node.name}) from 0 to 6, found {low} to {high}")
    values.pointwise(node, "Relu6")


def _hard_sigmoid(values: Values, node: OnnxNode) -> None:
    alpha, beta = node.attrs.get("alpha", 0.2), node.attrs.get("beta", 0.5)
    value = node.inputs[0]
    made = _clipped_line(values, values.made[value], alpha=alpha, beta=beta)
    values.keep(node, made, image=value in values.images)


def _hard_swish(values: Values, node: OnnxNode) -> None:
    value = node.inputs[0]
    line = _clipped_line(values, values.made[value], alpha=1 / SIX, beta=0.5)
    made = values.builder.op("Mul", (values.made[value], line))
    values.keep(node, made, image=value in values.images)


def _clipped_line(values: Values, value: str, *, alpha: float, beta: float) -> str:
    """Write ``clip(alpha x + beta, 0, 1)`` as ``relu6(x + beta / alpha) * alpha``, a = 1/6."""
    if not np.isclose(alpha, 1 / SIX):
        raise ModelError(f"expected a hard sigmoid with slope 1/6, found {alpha:g}")
    shift = values.builder.constant(np.array(beta * SIX, np.float32))
    clipped = values.builder.op("Relu6", (values.builder.op("AddV2", (value, shift)),))
    factor = values.builder.constant(np.array(1 / SIX, np.float32))
    return values.builder.op("Mul", (clipped, factor))


def _binary(values: Values, node: OnnxNode) -> None:
    if any(value in values.images for value in node.inputs):
        made = values.builder.op(
            BINARY[node.op], [_broadcast(values, each) for each in node.inputs]
        )
        values.keep(node, made, image=True)
        return
    made = values.builder.op(BINARY[node.op], [values.plain(each) for each in node.inputs])
    values.keep(node, made, image=False)


def _broadcast(values: Values, value: str) -> str:
    """Return an operand beside an image; a constant of fewer axes gets those it lacks."""
    constant = values.constants.get(value)
    if constant is None or constant.ndim == 0:
        return values.image(value) if constant is None else values.builder.constant(constant)
    missing = IMAGE_AXES - constant.ndim
    return values.builder.constant(last(constant.reshape((1,) * missing + constant.shape)))


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(UNARY, _unary),
    **dict.fromkeys(BINARY, _binary),
    "Clip": _clip,
    "Dropout": _same,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": _same,
    "LeakyRelu": _leaky_relu,
}
