"""What the float references of heads share: real values, sigmoid, softmax, one candidate.

Shares no code with `edge.decode`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import TensorSpec

# A runtime cuts what no sound head says: logarithms of sides at e^±32, cells at ±65536.
MAX_EXPONENT = 32.0
MAX_CELLS = 65536.0


class Candidate(NamedTuple):
    """The score of one anchor or cell for one class, with its box in input pixels."""

    box_xyxy: tuple[float, float, float, float]
    score: float
    class_id: int


def real_values(raw: NDArray[Any], spec: TensorSpec) -> NDArray[np.float64]:
    """Return what a raw tensor stands for, rounded to float32 as a DEQUANTIZE op gives it."""
    wide = raw.astype(np.float64)
    if spec.dtype.kind != "f":
        wide = (wide - spec.quant.zero_point) * np.float64(np.float32(spec.quant.scale))
    return wide.astype(np.float32).astype(np.float64)


def sigmoid(value: float) -> float:
    """Return 1 / (1 + e^-value) without overflow."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    return math.exp(value) / (1 + math.exp(value))


def softmax(values: list[float]) -> list[float]:
    """Return the softmax, NaN throughout if a value is NaN or the greatest is not finite."""
    if any(math.isnan(value) for value in values) or not math.isfinite(max(values)):
        return [math.nan] * len(values)
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def clamp(value: float, limit: float) -> float:
    """Return the value within ±limit, NaN as it is."""
    return value if math.isnan(value) else min(max(value, -limit), limit)


def sound(candidates: list[Candidate]) -> list[Candidate]:
    """Return those whose boxes are numbers."""
    return [each for each in candidates if not any(math.isnan(side) for side in each.box_xyxy)]
