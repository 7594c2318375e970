"""How often a tensor took which values: a bounded summary that can be merged in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.ranges import Range

# Eight bins a quantum of int8: what a calibrator can choose is finer than what it can break.
BINS = 2048


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in `BINS` equal bins of a range that was known beforehand.

    Attributes:
        range: Every counted value lies in it.
        counts: `(BINS,)` int64, owned; a range of one single value counts everything in bin 0.

    Raises:
        ValueError: The counts have another shape.
    """

    range: Range
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.counts.shape != (BINS,):
            raise ValueError(f"counts must have shape ({BINS},), got {self.counts.shape}")

    @classmethod
    def of(cls, values: NDArray[np.float32], within: Range) -> Histogram:
        """Count an array's values, whatever its shape; those outside go to the outer bins."""
        width = (within.max - within.min) / BINS
        if width == 0:
            counts = np.zeros(BINS, np.int64)
            counts[0] = values.size
            return cls(within, counts)
        bins = np.subtract(values.ravel(), within.min, dtype=np.float64)  # (N,)
        bins /= width
        index = np.clip(bins, 0, BINS - 1).astype(np.intp)
        return cls(within, np.bincount(index, minlength=BINS).astype(np.int64))

    def merge(self, other: Histogram) -> Histogram:
        """Return the counts of both; associative and commutative.

        Raises:
            ValueError: The ranges differ, so the bins do.
        """
        if other.range != self.range:
            raise ValueError(f"histograms must share one range, got {self.range} and {other.range}")
        return Histogram(self.range, self.counts + other.counts)

    def edges(self) -> NDArray[np.float64]:
        """Return the `(BINS + 1,)` bounds of the bins."""
        return np.linspace(self.range.min, self.range.max, BINS + 1)

    def centers(self) -> NDArray[np.float64]:
        """Return the `(BINS,)` middles of the bins, which stand for their values."""
        edges = self.edges()
        return (edges[:-1] + edges[1:]) / 2
