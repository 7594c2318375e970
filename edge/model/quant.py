"""Affine quantisation, ``real = (q - zero_point) * scale``, and thresholds in its domain.

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

# A real half-way between two quanta is off by up to 8e-6 quanta: a file's scale is float32.
TIE_TOLERANCE = 2.0**-14


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
        """Return the least `t` of `dtype` with ``dequantize(t) >= real``, compared in float32.

        So ``q >= t`` decides as TensorFlow Lite would after dequantising.

        Args:
            real: The threshold; infinities are allowed.
            dtype: Of the tensor: int8, uint8, int16, or a float.

        Returns:
            For an integer `dtype` an integral float in ``[min, max + 1]``; `max + 1` means that no
            value of the dtype reaches `real`.
        """
        wanted = np.float32(real)
        if dtype.kind == "f":
            nearest = dtype.type(wanted)
            reaches = float(nearest) >= float(wanted)
            return float(nearest if reaches else np.nextafter(nearest, dtype.type(np.inf)))
        info = np.iinfo(dtype)
        if math.isinf(real):
            return float(info.min if real < 0 else info.max + 1)
        # Asked of the nearest quantum itself: a ceiling would depend on the division's last bit.
        nearest = round(min(max(real / self.scale + self.zero_point, info.min), info.max))
        reaches = bool(self.dequantize(np.array(nearest, dtype)) >= wanted)
        return float(nearest if reaches else nearest + 1)

    def dequantize(self, q: NDArray[Any]) -> NDArray[np.float32]:
        """Return the real values of `q`, a new float32 array of the same shape."""
        if q.dtype.kind == "f":
            with np.errstate(
                invalid="ignore"
            ):  # a signalling NaN, of damaged outputs, becomes quiet
                quiet: NDArray[np.float32] = np.add(q, np.float32(0), dtype=np.float32)
            return quiet
        # Widened first: int8 minus int8 wraps around at 128.
        steps = q.astype(np.int32) - self.zero_point
        # One rounding, as `(float(q) - zero_point) * scale` of TensorFlow Lite has it.
        real: NDArray[np.float32] = np.multiply(steps, np.float32(self.scale), dtype=np.float32)
        return real

    def quantize(self, real: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the nearest quanta, halves upwards, saturated to `dtype`; a new array."""
        if dtype.kind == "f":
            return real.astype(dtype)
        info = np.iinfo(dtype)
        steps = np.asarray(real, np.float64) / self.scale + self.zero_point
        q = np.floor(steps + (0.5 + TIE_TOLERANCE))
        return np.clip(q, info.min, info.max).astype(dtype)
