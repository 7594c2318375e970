"""Where a picture moves: a coarse grey grid against a slow background.

A cell moves where it differs from the background by more than its own noise, and a neighbour does
too or it differs by far. What brightens or darkens the whole picture by one factor moves nothing;
where most of it moves, the camera or the light did, and the background is learnt anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.capture.picture import SIDEWAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.capture.picture import Picture

    Grid = NDArray[np.float32]
    Mask = NDArray[np.bool_]

# Cells of the longer and the shorter side.
LONG_CELLS, SHORT_CELLS = 96, 54
# Samples of a cell along x and y: more rows of them cost time, and take away little more noise.
SAMPLES_WH = (4, 2)
# How fast the background follows: what is as it was a moment ago, and what changes. So what passes
# leaves no trail in it, and what has come to rest is soon a part of it.
REST_S, CHANGE_S, RECENT_S = 0.75, 20.0, 0.2
NOISE_S = 10.0
# A cell moves beyond so many times its mean difference, at least and at most so many grey levels.
# Of normal noise 6 mean differences are 4.8 deviations: one cell of 5,184 in two minutes at 1 Hz.
NOISES, LEAST_LEVELS, MOST_LEVELS = 6.0, 4.0, 24.0
# Without a neighbour that moves, it has to differ by so many times as much.
ALONE = 2.0
# Of the cells that count: more than this is no object.
MOST_MOVING = 0.5
NEIGHBOURS = np.ones((3, 3), np.uint8)
ITSELF = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


class MotionGrid:
    """Compares each picture of one camera with those before it.

    Args:
        masks: Polygons in shares of the image's sides, in which nothing counts.
    """

    def __init__(self, masks: Sequence[Sequence[tuple[float, float]]] = ()) -> None:
        self._masks = masks
        self._counts = np.ones((0, 0), np.bool_)
        self._background = self._recent = self._noise = np.zeros((0, 0), np.float32)
        self._source_wh = (0, 0)
        self._now_s = 0.0

    def motion(self, picture: Picture, now_s: float) -> Mask:
        """Return which cells `(rows, columns)` of the image, as it is turned, move.

        All of them where the picture as a whole is another one, and never else: in the first one,
        and in one of another size.

        Args:
            picture: The next one of the camera.
            now_s: Of the source's clock; one that was set back has not moved.
        """
        grey = grey_grid(picture)
        elapsed_s, self._now_s = max(0.0, now_s - self._now_s), now_s
        if self._source_wh != picture.size_wh:
            self._source_wh = picture.size_wh
            self._counts = _unmasked(self._masks, grey.shape)
            return self._begin(grey)
        background = self._background
        gain = _gain(grey[::2, ::2], background[::2, ::2])  # a quarter tells it as well
        background *= gain
        self._recent *= gain
        difference = np.abs(grey - background)
        limit = np.clip(NOISES * self._noise, LEAST_LEVELS, MOST_LEVELS)
        cells = _clustered(difference, limit) & self._counts
        if np.count_nonzero(cells) > MOST_MOVING * np.count_nonzero(self._counts):
            return self._begin(grey)
        changes = np.abs(grey - self._recent) > limit
        self._recent += _share(elapsed_s, RECENT_S) * (grey - self._recent)
        rest, change = _share(elapsed_s, REST_S), _share(elapsed_s, CHANGE_S)
        background += np.where(changes, change, rest) * (grey - background)
        np.minimum(difference, limit, out=difference)
        self._noise += _share(elapsed_s, NOISE_S) * (difference - self._noise)
        return cells

    def _begin(self, grey: Grid) -> Mask:
        self._background, self._recent = grey, grey.copy()
        # One noisy picture is a poor background, and no noise is known yet.
        self._noise = np.full_like(grey, 2 * LEAST_LEVELS / NOISES)
        return np.ones(grey.shape, np.bool_)


def _unmasked(masks: Sequence[Sequence[tuple[float, float]]], shape: tuple[int, ...]) -> Mask:
    """Return which cells of a grid no mask covers."""
    covered = np.zeros(shape, np.uint8)
    for polygon in masks:
        corners = np.array(polygon) * shape[::-1] - 0.5  # a cell's centre is a whole number
        cv2.fillPoly(covered, [corners.round().astype(np.int32)], 1)
    return np.equal(covered, 0, dtype=np.bool_)


def _share(elapsed_s: float, within_s: float) -> float:
    """Return how much of a difference goes meanwhile, whatever the rate of the frames."""
    return -math.expm1(-elapsed_s / within_s)


def _gain(grey: Grid, background: Grid) -> float:
    """Return by what factor most of the picture has brightened, whatever a part of it does."""
    ratios = (grey / np.maximum(background, 1)).ravel()
    ratios.partition(ratios.size // 2)
    return float(ratios[ratios.size // 2])


def _clustered(difference: Grid, limit: Grid) -> Mask:
    """Return where a difference is above the limit, and not alone unless it is far above."""
    over: Mask = difference > limit
    if not over.any():
        return over
    beside = cv2.dilate(over.view(np.uint8), ITSELF).view(np.bool_)
    return over & (beside | (difference > ALONE * limit))


def grey_grid(picture: Picture) -> Grid:
    """Return the mean brightness of each cell of an image, `(rows, columns)` float32, 0 to 255.

    Of B G R it is that of G.
    """
    width, height = picture.size_wh[:: -1 if picture.rotate in SIDEWAYS else 1]
    plane = picture.pixels[:height]  # of formats of planes that of Y
    wide = (LONG_CELLS, SHORT_CELLS) if width >= height else (SHORT_CELLS, LONG_CELLS)
    cells = min(wide[0], width), min(wide[1], height)
    sampled = cells[0] * SAMPLES_WH[0], cells[1] * SAMPLES_WH[1]
    samples = cv2.resize(plane, sampled, interpolation=cv2.INTER_NEAREST)
    if samples.ndim > 2:  # noqa: PLR2004 - one channel has no axis of its own
        samples = cv2.extractChannel(samples, 1 if picture.format == "bgr" else 0)
    grid = cv2.resize(samples, cells, interpolation=cv2.INTER_AREA).astype(np.float32)
    if not picture.rotate:
        return grid
    return np.ascontiguousarray(np.rot90(grid, -picture.rotate // 90))
