"""The histogram of values that are all there at once, which no run over images has."""

from __future__ import annotations

import numpy as np

from calibration.ranges import Range
from calibration.tally import BINS, Histogram


def exact_histogram(values, within=None):
    """Return the counts of an array's values in equal bins of a range, by default their own."""
    within = within or Range(float(values.min()), float(values.max()))
    counts, _ = np.histogram(values.astype(np.float64), BINS, (within.min, within.max))
    if within.min == within.max:
        # NumPy widens such a range; all its values belong in the first bin.
        counts = np.eye(1, BINS, dtype=np.int64)[0] * values.size
    return Histogram(within, counts.astype(np.int64))
