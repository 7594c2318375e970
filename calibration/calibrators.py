"""Which range to quantise a tensor to, given how often it took which values.

All are for asymmetric int8 per tensor: 256 levels from the range's least to its greatest value,
real 0 among them, everything outside saturated.

Measured on SSDLite-MobileNetV2, 78 images of COCO, weights rounded plainly, mAP50-95 on 100 others:
float 0.3077, mse 0.3084, minmax 0.3060, percentile 0.3024, entropy 0.2979. Another draw of images
moves minmax as far (0.302 to 0.309), and their number hardly matters: one alone gives 0.304-0.307.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.ranges import Range
from calibration.tally import BINS, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LEVELS = 256
# Share of the values that the percentile calibrator keeps. Wu et al. 2020 try 99.9 to 99.9999 and
# find 99.99 % or 99.999 % best on most networks.
PERCENTILE = 99.99
# Ends tried by the searching calibrators are multiples of 16 bins: a 128th of the range.
SEARCH_STEP_BINS = 16
# What a bin that nothing fell into still weighs.
HALF_A_COUNT = 0.5


def minmax(histogram: Histogram) -> Range:
    """Keep every value: ``[min(x), max(x)]``.

    Source: Jacob et al. 2018, section 3.
    """
    return histogram.range


def percentile(histogram: Histogram) -> Range:
    """Keep the central 99.99 %: ``[q(0.00005), q(0.99995)]``, rounded outward to a bin.

    q(p) is the value that a share p of all values does not exceed.

    Source: Wu et al. 2020, "Integer Quantization for Deep Learning Inference", section 3.3.
    """
    tail = (1 - PERCENTILE / 100) / 2
    cumulative = np.cumsum(histogram.counts) / max(1, int(histogram.counts.sum()))  # (BINS,)
    first = int(np.searchsorted(cumulative, tail, side="right"))
    last = int(np.searchsorted(cumulative, 1 - tail, side="left"))
    return _cut(histogram.edges(), min(first, BINS - 1), min(last, BINS - 1) + 1)


def mse(histogram: Histogram) -> Range:
    """Minimise ``E[(x - Q(x))^2]``, Q the quantiser of the candidate range, x the bins' middles.

    Source: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3.1.2, eq.
    11.
    """
    return _search(histogram, mean_squared_error)


def entropy(histogram: Histogram) -> Range:
    """Minimise ``KL(P || Q)``, P the values saturated to the candidate range, Q in its 256 levels.

    The bin of zero counts no more than its fuller neighbour. The zeros of a rectified tensor cost
    nothing at any scale, but outweigh every tail: with them SSDLite falls to mAP50-95 0.05, not
    0.30.

    Source: S. Migacz 2017, "8-bit Inference with TensorRT" (GTC); there for symmetric ranges, here
    for one end after the other.
    """
    return _search(_without_zeros(histogram), divergence)


CALIBRATORS: dict[str, Callable[[Histogram], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def _without_zeros(histogram: Histogram) -> Histogram:
    edges = histogram.edges()
    if not edges[0] <= 0 <= edges[-1]:
        return histogram
    zero = min(int(np.searchsorted(edges, 0.0, side="right")) - 1, BINS - 1)
    counts = histogram.counts.copy()
    beside = [counts[index] for index in (zero - 1, zero + 1) if 0 <= index < BINS]
    counts[zero] = min(counts[zero], max(beside))
    return Histogram(histogram.range, counts)


def mean_squared_error(histogram: Histogram, candidate: Range) -> float:
    """Return the mean squared error of quantising the histogram's values to int8 of `candidate`."""
    span = candidate.with_zero()
    scale = (span.max - span.min) / (LEVELS - 1)
    values = histogram.centers()
    if scale > 0:
        zero_point = np.floor(-span.min / scale + 0.5)
        level = np.clip(np.floor(values / scale + zero_point + 0.5), 0, LEVELS - 1)
        values = values - (level - zero_point) * scale  # (BINS,) errors
    return float((histogram.counts * values**2).sum() / max(1, int(histogram.counts.sum())))


def divergence(histogram: Histogram, candidate: Range) -> float:
    """Return ``KL(P || Q)`` in nats of quantising the histogram's values to int8 of `candidate`."""
    edges = histogram.edges()
    first = int(np.searchsorted(edges, candidate.min, side="right")) - 1
    last = int(np.searchsorted(edges, candidate.max, side="left"))
    if last <= first:  # a range of one single value is quantised without loss
        return 0.0
    inside = histogram.counts[first:last].astype(np.float64)  # (n,)
    reference = inside.copy()
    reference[0] += histogram.counts[:first].sum()
    reference[-1] += histogram.counts[last:].sum()
    # Q spreads what a level holds evenly over its bins that are not empty. It leaves the saturated
    # tails out, so that cutting them costs divergence.
    held = reference > 0
    level = np.arange(len(inside)) * LEVELS // len(inside)
    mass = np.bincount(level, inside, LEVELS)  # (256,)
    bins = np.bincount(level, held.astype(np.float64), LEVELS)
    model = (mass / np.maximum(bins, 1))[level][held]
    # Where only a tail fell Q would be 0 and the divergence infinite, for a single outlier.
    model = np.maximum(model, HALF_A_COUNT)
    p, q = reference[held] / reference.sum(), model / model.sum()
    return float((p * np.log(p / q)).sum())


def _search(histogram: Histogram, cost: Callable[[Histogram, Range], float]) -> Range:
    """Return the cheapest range found by lowering the top end, then raising the bottom end.

    The whole range is a candidate and wins ties, so no result costs more than `minmax`. An end is
    never moved past zero, nor the ends closer than `LEVELS` bins: the bins could not show the loss.
    """
    edges = histogram.edges()
    zero = int(np.clip(np.searchsorted(edges, 0.0), 0, BINS))
    first, last = 0, BINS
    best = cost(histogram, _cut(edges, first, last))
    for end in range(BINS - SEARCH_STEP_BINS, max(zero, LEVELS) - 1, -SEARCH_STEP_BINS):
        price = cost(histogram, _cut(edges, first, end))
        if price < best:
            best, last = price, end
    for start in range(SEARCH_STEP_BINS, min(zero, last - LEVELS) + 1, SEARCH_STEP_BINS):
        price = cost(histogram, _cut(edges, start, last))
        if price < best:
            best, first = price, start
    return _cut(edges, first, last)


def _cut(edges: NDArray[np.float64], first: int, last: int) -> Range:
    return Range(float(edges[first]), float(edges[last]))
