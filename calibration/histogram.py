"""How often a tensor took which values, in equal bins: what the calibrators choose by."""

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

    def edges(self) -> NDArray[np.float64]:
        """Return the `(BINS + 1,)` bounds of the bins."""
        return np.linspace(self.range.min, self.range.max, BINS + 1)

    def centers(self) -> NDArray[np.float64]:
        """Return the `(BINS,)` middles of the bins, which stand for their values."""
        edges = self.edges()
        return (edges[:-1] + edges[1:]) / 2
