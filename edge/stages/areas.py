"""Where objects are: in polygons, on a side of lines, and on the ground; all of them at once.

Points are shares of the frame, x to the right and y downwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.config.zone import turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.config.zone import Ground, Line, Mask, Zone
    from edge.results.detections import Detections

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]

# What is cut off by the lower or the right edge of the frame stands on it, and so in a zone there.
LAST = 1 - 1e-9
# Where a side is flatter, the clamp of its middle is the mean of its clamps.
FLAT = 1e-7
# How far past a line an object must be until it has crossed, a share of its box's height, and
# the least, of the frame's: a box that rests on a line wavers by less.
PAST_HEIGHT, PAST_FRAME = 0.05, 0.005


def shares(found: Detections, size_wh: tuple[int, int]) -> Numbers:
    """Return boxes `(2, 2, N)`: two corners, x and y of each, in shares of the frame."""
    boxes: Numbers = np.multiply(
        found.boxes.T.reshape(2, 2, -1), (1 / np.array(size_wh))[:, None], dtype=np.float64
    )
    return boxes


def _above_the_foot(places: Sequence[Zone | Mask | Line]) -> Numbers | None:
    """Return where each anchor is, a share of the box's height up, `(Z, 1)`; `None`: all at 0."""
    if all(place.anchor != "center" for place in places):
        return None
    return np.array([[0.5 * (place.anchor == "center")] for place in places])


class Areas:
    """Polygons, `Z` of them.

    Args:
        areas: In the order of the rows that `holds` returns.
    """

    def __init__(self, areas: Sequence[Zone | Mask]) -> None:
        corners = max((len(area.polygon) for area in areas), default=0)
        # The last point once more, as often as needed, and the first: sides without a height.
        closed = [
            (*area.polygon, *[area.polygon[-1]] * (corners - len(area.polygon)), area.polygon[0])
            for area in areas
        ]
        self._points = np.array(closed, np.float64).reshape(len(areas), corners + 1, 2)
        x, y = self._points[..., 0], self._points[..., 1]
        rise = np.diff(y)
        self._y = y[..., None]  # (Z, P + 1, 1)
        self._slope = np.divide(np.diff(x), rise, where=rise != 0, out=np.zeros_like(rise))
        self._slope = self._slope[..., None]
        self._x_at_0 = x[:, :-1, None] - self._slope * self._y[:, :-1]
        self._up = _above_the_foot(areas)
        self._over = np.array([n for n, area in enumerate(areas) if area.anchor == "overlap"], int)
        self._least = np.array([[areas[n].overlap_ratio] for n in self._over])

    def holds(self, boxes: Numbers, *, out: Flags) -> None:
        """Write which boxes `(2, 2, N)` are in which polygons, `(Z, N)`."""
        low, high = boxes
        x = np.minimum((low[0] + high[0]) * 0.5, LAST)
        y = high[1][None] if self._up is None else high[1] - self._up * (high[1] - low[1])
        y = np.minimum(y, LAST)[:, None]  # (Z or 1, 1, N)
        below = self._y > y
        crossed = below[:, 1:] != below[:, :-1]
        crossed &= self._slope * y + self._x_at_0 > x
        np.logical_xor.reduce(crossed, axis=1, out=out)
        if len(self._over):
            out[self._over] = self._covered(boxes) >= self._least

    def _covered(self, boxes: Numbers) -> Numbers:
        """Return which share of each box lies in the polygons of `overlap`, `(Z, N)`.

        Green's theorem: the area below each side of the polygon within the box, added with the
        sign of the side's way.
        """
        (x_low, y_low), (x_high, y_high) = boxes
        points = self._points[self._over][..., None]  # (Z, P + 1, 2, 1)
        ends = np.clip(points[:, :, 0], x_low, x_high)  # (Z, P + 1, N)
        run = np.diff(points[:, :, 0], axis=1)
        rise = np.diff(points[:, :, 1], axis=1)
        steep = np.divide(rise, run, where=run != 0, out=np.zeros_like(run))
        x, y = points[:, :-1, 0], points[:, :-1, 1]
        first, last = y + (ends[:, :-1] - x) * steep, y + (ends[:, 1:] - x) * steep
        change = last - first
        flat = np.abs(change) < FLAT
        mean = (_clamped(last, y_low, y_high)[1] - _clamped(first, y_low, y_high)[1]) / np.where(
            flat, 1, change
        )
        mean = np.where(flat, _clamped((first + last) / 2, y_low, y_high)[0], mean)
        covered: Numbers = np.abs((mean * (ends[:, 1:] - ends[:, :-1])).sum(axis=1))
        area = (x_high - x_low) * (y_high - y_low)
        covered /= np.where(area > 0, area, np.inf)
        return covered


def _clamped(y: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Return y within low and high, and the integral of that over y."""
    held: Numbers = np.clip(y, low, high)
    return held, held * y - held * held / 2


class Lines:
    """Lines, `L` of them, in a frame so many times as wide as it is high.

    Args:
        lines: Of the configuration, in the order of the rows.
        aspect: Width by height.
    """

    def __init__(self, lines: Sequence[Line], aspect: float) -> None:
        self._ends = np.array([(e.start, e.end) for e in lines], np.float64).reshape(-1, 2, 2)
        way = (self._ends[:, 1] - self._ends[:, 0]) * (aspect, 1)  # (L, 2)
        way /= np.hypot(way[:, 0], way[:, 1])[:, None]
        # To the right of who looks along it, as y goes downwards.
        self._right, self._down = np.stack([-way[:, 1] * aspect, way[:, 0]])[..., None]  # (L, 1)
        self._offset = self._right * self._ends[:, 0, :1] + self._down * self._ends[:, 0, 1:]
        self._up = _above_the_foot(lines)

    def past(self, boxes: Numbers) -> Numbers:
        """Return how far to the right of each line each box is, in frame heights, `(L, N)`."""
        low, high = boxes
        x, y = (low[0] + high[0]) * 0.5, high[1]
        if self._up is not None:
            y = y - self._up * (high[1] - low[1])
        distance: Numbers = self._down * y
        distance += self._right * x
        distance -= self._offset
        return distance

    def is_through(self, line: int, before: Numbers, now: Numbers) -> bool:
        """Whether the way from a box to another, both `(2, 2)`, leads through the segment."""
        up = 0.0 if self._up is None else float(self._up[line, 0])
        one, two = (
            ((x_low + x_high) / 2, y_high - up * (y_high - y_low))
            for (x_low, y_low), (x_high, y_high) in (before.tolist(), now.tolist())
        )
        sides = [turn(one, two, (x, y)) for x, y in self._ends[line].tolist()]
        return min(sides) <= 0 <= max(sides)


def margins(boxes: Numbers) -> Numbers:
    """Return how far past a line each box `(2, 2, N)` must be to have crossed it, `(N,)`."""
    heights: Numbers = boxes[1, 1] - boxes[0, 1]
    return np.maximum(heights * PAST_HEIGHT, PAST_FRAME)


class GroundScale:
    """From points of the picture to metres on level ground: the homography of four points.

    Source: Hartley and Zisserman, Multiple View Geometry, 4.1; exact for four points.
    """

    def __init__(self, ground: Ground) -> None:
        rows = []
        for (x, y), (u, v) in zip(ground.image, ground.metres, strict=True):
            rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values = np.linalg.solve(np.array(rows), np.array(ground.metres).ravel())
        matrix = np.append(values, 1).reshape(3, 3)
        # Beyond the horizon the weight, here > 0, has the other sign.
        self._matrix = matrix * np.sign(matrix[2] @ (*ground.image[0], 1))

    def metres(self, point: Numbers) -> Numbers:
        """Return where a point `(2,)` is; NaN at the horizon and beyond."""
        x, y, weight = self._matrix @ (*point, 1)
        return np.array([x, y]) / (weight if weight > 0 else np.nan)
