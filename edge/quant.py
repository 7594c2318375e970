"""Affine quantisation: ``real = (q - zero_point) * scale``, and thresholds as quanta.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", eq. 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Quant:
    """Per-tensor parameters; a float tensor has `Quant()`, for which every method is the identity.

    Attributes:
        scale: Real value of one quantum, > 0.
        zero_point: Quantised value of real 0.
    """

    scale: float = 1.0
    zero_point: int = 0

    def threshold(self, real: float, dtype: np.dtype[Any]) -> float:
        """Return the least `t` of `dtype` with ``dequantize(q) >= real`` exactly for ``q >= t``.

        For an integer `dtype` the result is an integral float in ``[min, max + 1]``; `max + 1`
        means that no value of the dtype reaches `real`. For a float `dtype` it is `real` itself.
        """
        if dtype.kind == "f":
            return real
        info = np.iinfo(dtype)
        if math.isinf(real):
            return float(info.min if real < 0 else info.max + 1)
        # A real that is a quantum must not be pushed to the next one by the division's last bit.
        steps = real / self.scale
        nearest = round(steps)
        exact = (
            nearest
            if math.isclose(steps, nearest, rel_tol=1e-9, abs_tol=1e-9)
            else math.ceil(steps)
        )
        return float(min(max(exact + self.zero_point, info.min), info.max + 1))

    def dequantize(self, q: NDArray[Any]) -> NDArray[np.float32]:
        """Return the real values of `q`, a new float32 array of the same shape."""
        if q.dtype.kind == "f":
            return q.astype(np.float32)
        # Widened first: int8 minus int8 wraps around at 128.
        steps = q.astype(np.int32) - self.zero_point
        real: NDArray[np.float32] = (steps * np.float32(self.scale)).astype(np.float32)
        return real

    def quantize(self, real: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the quanta nearest to `real`, halves upwards, saturated to `dtype`; new array."""
        if dtype.kind == "f":
            return real.astype(dtype)
        info = np.iinfo(dtype)
        q = np.floor(np.asarray(real, np.float64) / self.scale + self.zero_point + 0.5)
        return np.clip(q, info.min, info.max).astype(dtype)
