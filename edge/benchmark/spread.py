"""Percentiles, spreads, and ratios with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.benchmark.result import Percentiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RANKS = (50, 90, 95, 99)
# Windows whose middle half is spread over more than this share of their median tell no ratio.
MAX_DISAGREEMENT = 0.10
RESAMPLES = 2000
INTERVAL_PERCENT = (2.5, 97.5)
# Fewer windows have no spread to speak of.
MIN_WINDOWS = 5

Interval = tuple[float, float]


def interval(drawn: NDArray[np.float64]) -> Interval:
    """Return the central 95 % of `(B,)` draws of a bootstrap.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentiles).
    """
    low, high = np.percentile(drawn, INTERVAL_PERCENT).tolist()
    return low, high


def percentiles(times_ms: NDArray[np.float64]) -> Percentiles:
    """Return the nearest ranks of `(N,)` times, N >= 1: the least time with so many up to it."""
    p50, p90, p95, p99 = np.percentile(times_ms, RANKS, method="inverted_cdf").tolist()
    return Percentiles(
        count=len(times_ms),
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=float(times_ms.max()),
    )


class Spread(NamedTuple):
    """A figure over the windows: their median, with the ends of its 95 % bootstrap interval.

    Attributes:
        disagreement_ratio: Interquartile range over the median.
    """

    median: float
    low: float
    high: float
    disagreement_ratio: float
    windows: int

    @property
    def agrees(self) -> bool:
        """Whether the windows are enough, and agree enough, for a ratio to mean something."""
        return self.windows >= MIN_WINDOWS and self.disagreement_ratio <= MAX_DISAGREEMENT


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of one positive figure a window; at least one."""
    array = np.asarray(values, np.float64)
    lower, middle, upper = np.percentile(array, (25, 50, 75)).tolist()
    low, high = interval(medians(array, seed=0))
    return Spread(middle, low, high, (upper - lower) / middle, len(array))


def medians(values: NDArray[np.float64], *, seed: int) -> NDArray[np.float64]:
    """Return `(RESAMPLES,)` medians of draws from the windows, with replacement."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0, len(values), (RESAMPLES, len(values)))
    return np.median(values[drawn], axis=1)


class Ratio(NamedTuple):
    """One figure over another, with its 95 % bootstrap interval over the windows."""

    value: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves 1 out."""
        return not self.low <= 1 <= self.high


def ratio(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """Return median over median of two sets of windows that were not measured together."""
    top, bottom = np.asarray(over, np.float64), np.asarray(under, np.float64)
    low, high = interval(medians(top, seed=1) / medians(bottom, seed=2))
    return Ratio(float(np.median(top) / np.median(bottom)), low, high)
