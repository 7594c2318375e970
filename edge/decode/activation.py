"""From raw values to scores in [0, 1], and from a score threshold to the raw one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import TensorSpec

BYTE_VALUES = 256


class Activation:
    """Turns the raw values of one tensor into scores; of 8 bits, by a table.

    Args:
        tensor: Whose values.
        function: `sigmoid`, or `none` where the graph activated them itself.
    """

    def __init__(self, tensor: TensorSpec, function: Literal["sigmoid", "none"]) -> None:
        self._quant = tensor.quant
        self._is_sigmoid = function == "sigmoid"
        self.table: NDArray[np.float32] | None = None
        if tensor.dtype.itemsize == 1:
            self.table = self._compute(every_byte(tensor.dtype))

    def __call__(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores of `raw`, a new float32 array of the same shape."""
        return self._compute(raw) if self.table is None else self.table.take(raw.view(np.uint8))

    def _compute(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        real = self._quant.dequantize(raw)
        if self._is_sigmoid:
            sigmoid_inplace(real)
            return real
        np.minimum(real, 1, out=real)  # a quantised 1 may come back as the next float
        return real


def every_byte(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the `(256,)` values of an 8-bit dtype, in the order of their bits as a number."""
    return np.arange(BYTE_VALUES, dtype=np.uint8).view(dtype)


def sigmoid_inplace(values: NDArray[Any]) -> None:
    """Overwrite floats with 1 / (1 + e^-value)."""
    np.negative(values, out=values)
    with np.errstate(over="ignore"):  # exp(89) is infinite in float32, and its score rightly 0
        np.exp(values, out=values)
    values += 1
    np.reciprocal(values, out=values)


def softmax(values: NDArray[Any]) -> NDArray[Any]:
    """Return the softmax over the last axis, a new array; NaN where infinity or NaN is among it."""
    with np.errstate(invalid="ignore"):
        powers: NDArray[Any] = values - values.max(axis=-1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def logit(probability: float) -> float:
    """Return the `x` with ``sigmoid(x) == probability``; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))


def least_raw(tensor: TensorSpec, real: float) -> np.generic | None:
    """Return the least raw value that reaches `real`, in the tensor's dtype; `None` if none does.

    `real` is compared in float32.
    """
    threshold = tensor.quant.threshold(real, tensor.dtype)
    if tensor.dtype.kind != "f" and threshold > np.iinfo(tensor.dtype).max:
        return None
    value: np.generic = tensor.dtype.type(threshold)
    return value


def clamp_inplace(values: NDArray[Any], limit: float) -> None:
    """Cut floats to ±limit, NaN left as it is; `np.clip` takes 5 µs longer for so few."""
    np.minimum(values, limit, out=values)
    np.maximum(values, -limit, out=values)


def make_quiet_inplace(values: NDArray[np.float32]) -> None:
    """Turn signalling NaN, which damaged outputs may hold, into a kind that nothing warns of."""
    with np.errstate(invalid="ignore"):
        values += np.float32(0)
