"""Where objects are, and where they are going: one Kalman filter of constant velocity a number.

Centre and sides of a box move on their own, so the eight numbers of the usual filter fall into four
pairs of a value and its velocity, and a matrix of 8 x 8 into three numbers a pair. That is the same
filter, in a few array operations for all boxes at once.

Source: Wojke et al. 2017 (DeepSORT), whose filter ByteTrack has: noise in shares of the object's
size. Its unit of time is a frame of a video of 30 frames a second; here it is that long as well.
Which noises: by the HOTA of drawn scenes, where DeepSORT's adapt too slowly to who turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

UNITS_PER_S = 30.0
# Variance of what is measured, in shares of the object's width (of x and w) and height (of y and h)
# squared, and by it those of value and velocity at birth, and what a unit adds to them.
MEASURED = 1 / 400
NEW_VALUE, NEW_SPEED, MORE_VALUE, MORE_SPEED = 4, 3, 0.1, 0.06
LEAST_SIDE_PX = 1.0
# Of a motion: value and velocity, their variances, and between these the covariance.
PARTS = VALUE, SPEED, VALUE_VARIANCE, COVARIANCE, SPEED_VARIANCE = range(5)
_STAYS = np.eye(len(PARTS))
# What a unit adds to the variances of value and velocity, for a side of 1.
_NOISE = MEASURED * np.array([MORE_VALUE, MORE_SPEED])[:, None, None, None]


def centred(boxes: Numbers) -> Numbers:
    """Return centre and sides `(2, 2, N)` of boxes `(2, 2, N)`: two corners, x and y of each."""
    low, high = boxes
    found: Numbers = np.empty_like(boxes)
    np.add(low, high, out=found[0])
    found[0] *= 0.5
    np.subtract(high, low, out=found[1])
    return found


def corners(value: Numbers, *, wider: float) -> NDArray[np.float32]:
    """Return boxes `(2, 2, N)`, two corners, of centres and sides `(2, 2, N)` of at least a pixel.

    Args:
        value: To read.
        wider: How many times as long the sides are to be.
    """
    half: Numbers = np.maximum(value[1], LEAST_SIDE_PX)
    half *= 0.5 * wider
    # Comparing 100 with 100 of them takes 74 µs, and 185 in float64.
    found = np.empty(value.shape, np.float32)
    np.subtract(value[0], half, out=found[0])
    np.add(value[0], half, out=found[1])
    return found


def begun(measured: Numbers) -> Numbers:
    """Return the motions `(5, 2, 2, N)` of centres and sides `(2, 2, N)` that were seen once."""
    motion = np.zeros((len(PARTS), *measured.shape))
    squares = _squares(measured)
    motion[VALUE] = measured
    motion[VALUE_VARIANCE] = squares * (NEW_VALUE * MEASURED)
    motion[SPEED_VARIANCE] = squares * (NEW_SPEED * MEASURED)
    return motion


def predict_inplace(motion: Numbers, elapsed_s: float) -> None:
    """Move motions `(5, 2, 2, N)` on by a time >= 0; doubt grows with it."""
    units = elapsed_s * UNITS_PER_S
    squares = _squares(motion[VALUE])
    step = _STAYS.copy()
    step[VALUE, SPEED] = step[COVARIANCE, SPEED_VARIANCE] = units
    step[VALUE_VARIANCE, COVARIANCE:] = 2 * units, units**2
    # Columns that were picked out lie in another order: reshaping them in place would copy them.
    motion[...] = (step @ motion.reshape(len(PARTS), -1)).reshape(motion.shape)
    motion[VALUE_VARIANCE::2] += _NOISE * (units * squares)


def corrected(motion: Numbers, measured: Numbers) -> Numbers:
    """Return motions `(5, 2, 2, N)` once their centres and sides `(2, 2, N)` were seen."""
    known = motion[VALUE_VARIANCE:SPEED_VARIANCE]
    total = known[0] + MEASURED * _squares(motion[VALUE])
    gains = known / total  # (2, 2, 2, N): of value and velocity
    after: Numbers = np.empty_like(motion)
    np.add(motion[: SPEED + 1], gains * (measured - motion[VALUE]), out=after[: SPEED + 1])
    np.subtract(known, gains[0] * known, out=after[VALUE_VARIANCE:SPEED_VARIANCE])
    np.subtract(motion[SPEED_VARIANCE], gains[1] * known[1], out=after[SPEED_VARIANCE])
    return after


def _squares(value: Numbers) -> Numbers:
    """Return the squares of the sides `(2, N)`, by which the noise of each number goes."""
    sides: Numbers = np.maximum(value[1], LEAST_SIDE_PX)
    sides *= sides
    return sides
