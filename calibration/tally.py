"""What values a tensor took, collected image by image in one pass, whatever the images' order.

A histogram needs bins, and bins need a range that is known only when every image was seen. So the
values are counted on a grid that any later value fits: its bins are a power of two wide and begin
at zero, and where a value exceeds it, bins are joined in pairs. Nothing moves from one bin to
another on the way, so the counts are those of the last grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.ranges import Range

# Eight bins a quantum of int8: what a calibrator can choose is finer than what it can break.
BINS = 2048
# Bins on each side of zero: two at least for each of `Histogram`'s.
SIDE_BITS = 13
SIDE = 1 << SIDE_BITS
# Of each image and tensor about so many values are counted: whole pixels, evenly spread.
COUNTED = 1 << 16
# Keeps the factor that turns values into bins a finite float32.
LEAST_EXPONENT = -100


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


class Tally:
    """The extremes of a tensor, exact, and how often a sample of its values fell into which bin.

    Attributes:
        range: Of all values.
        exponent: Of the grid: bin k, from `-SIDE` to `SIDE`, holds the values that divided by
            ``2**(exponent - SIDE_BITS)`` and truncated are k.
        counts: `(2 * SIDE,)` int64, bin k in row `SIDE + k`.
    """

    def __init__(self, within: Range, exponent: int, counts: NDArray[np.int64]) -> None:
        self.range = within
        self.exponent = exponent
        self.counts = counts

    @classmethod
    def of(cls, values: NDArray[np.float32], within: Range, *, stride: int = 1) -> Tally:
        """Count an array's values; of several positions (all axes but the last) each `stride`-th.

        Args:
            values: Not empty, of any shape.
            within: Their extremes.
            stride: At least 1.
        """
        peak = max(-within.min, within.max)
        # Of 0, frexp gives the exponent 0.
        exponent = max(math.frexp(peak)[1], LEAST_EXPONENT) if peak else LEAST_EXPONENT
        sample = values.reshape(-1, values.shape[-1] if values.ndim else 1)[::stride]  # (N, C)
        bins = np.multiply(sample, np.float32(2.0 ** (SIDE_BITS - exponent))).astype(np.intp)
        bins += SIDE
        return cls(within, exponent, np.bincount(bins.ravel(), minlength=2 * SIDE))

    def add_inplace(self, other: Tally) -> None:
        """Count the other's values too; associative and commutative."""
        exponent = max(self.exponent, other.exponent)
        self.range = self.range.merge(other.range)
        self.counts = _folded(self.counts, exponent - self.exponent)
        self.counts += _folded(other.counts, exponent - other.exponent)
        self.exponent = exponent

    def histogram(self) -> Histogram:
        """Return the counts in equal bins of the range.

        A bin's values are taken to lie evenly in it, but for that of zero: a rectified tensor has
        nothing but zeros there, and must keep them in one bin.
        """
        spread = self.counts.copy()
        spread[SIDE] = 0
        width = 2.0 ** (self.exponent - SIDE_BITS)
        above = np.arange(-SIDE + 1, SIDE + 1)  # of each bin, where its values end
        ends = np.clip((above - (above <= 0)) * width, self.range.min, self.range.max)
        edges = np.linspace(self.range.min, self.range.max, BINS + 1)
        reached = np.interp(edges, ends, np.cumsum(spread))
        # Clipped to the range, ends coincide, and `interp` may choose either.
        reached[0], reached[-1] = 0, spread.sum()
        counts = np.diff(np.rint(reached).astype(np.int64))
        zero = np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, BINS - 1)
        counts[zero] += self.counts[SIDE]
        return Histogram(self.range, counts)


def stride_of(shape: tuple[int, ...]) -> int:
    """Return how many positions of a tensor to go on to sample about `COUNTED` of its values.

    It has no factor in common with the innermost side of the image, so that no column is left out.
    """
    stride = max(1, math.prod(shape) // COUNTED)
    side = shape[-2] if len(shape) > 1 else 1
    while math.gcd(stride, side) > 1:
        stride += 1
    return stride


def _folded(counts: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return the counts on a grid coarser by so many powers of two."""
    if bits == 0:
        return counts
    bins = np.arange(-SIDE, SIDE)
    # Truncation, like that of the values: toward zero.
    joined = np.sign(bins) * (np.abs(bins) >> min(bits, SIDE_BITS + 1))
    totals = np.zeros_like(counts)
    np.add.at(totals, joined + SIDE, counts)
    return totals
