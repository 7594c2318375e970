"""The range of real values that a tensor takes: what calibration is after."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """A closed interval of real values, ``min <= max``, both finite.

    Raises:
        ValueError: It is none.
    """

    min: float
    max: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min) and math.isfinite(self.max) and self.min <= self.max):
            raise ValueError(f"range must be finite with min <= max, got {self.min} to {self.max}")

    def merge(self, other: Range) -> Range:
        """Return the least range that holds both; associative, commutative, idempotent."""
        return Range(min(self.min, other.min), max(self.max, other.max))

    def with_zero(self) -> Range:
        """Return the least range that holds this one and 0, as affine quantisation needs it.

        Source: Jacob et al. 2018, section 2.1: real 0 must be a quantum, for zero padding.
        """
        return Range(min(self.min, 0.0), max(self.max, 0.0))
