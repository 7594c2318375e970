"""Which parts of each picture are looked at, within the invokes that there are.

Each frame brings in `invokes_per_frame`, an invoke takes one, and what is left is kept for a burst:
so the mean of all frames is never above it, but for the first one. A sweep of the whole frame
that is due goes first, then whatever moves or is known and was not looked at for longest.

Same pictures and times, same plans: of what was seen only that counts which is known for certain
when a picture is planned, however fast the threads are.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.regions.motion import NEIGHBOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.config.sections import Regions

    Mask = NDArray[np.bool_]
    Boxes = NDArray[np.float32]
    Box = tuple[float, ...]  # xyxy

# The smallest region, in sides of the input: a detector needs things larger than they are.
LEAST_SIDE = 0.33
# How much wider than what it is for, and how much of the frame makes it a sweep.
MARGIN, MOST_SHARE = 1.25, 0.6
# Things that are planned for at once: those that were not looked at for longest.
MOST_THINGS = 16
# What rests and is too small for a sweep is looked at again after so many of them.
RECHECK_SWEEPS = 5
# What comes so near to a region's border, in shares of its side, may go on behind it.
MOST_CUT = 0.02
# Of tokens: ten times 0.1 is 1.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image: x, y, width and height in pixels, even unless it is all of it."""

    x: int
    y: int
    width: int
    height: int

    @property
    def box(self) -> Box:
        """As x1, y1, x2, y2."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def shows(self, boxes: Boxes, size_wh: tuple[int, int]) -> Mask:
        """Return which boxes `(N, 4)` it shows whole: its borders cut none, the frame's may."""
        low, sides = np.array([self.box[:2], (self.width, self.height)], np.float32)
        high = low + sides
        first = np.where(low > 0, low + MOST_CUT * sides, -np.inf)
        last = np.where(high < size_wh, high - MOST_CUT * sides, np.inf)
        cut: Mask = (boxes[:, :2] < first) | (boxes[:, 2:] > last)
        return np.logical_not(cut.any(axis=1), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one picture.

    Attributes:
        number: Of the camera's plans, from 0; pictures that go no further have none.
        looks: What to look at, the whole frame first; none repeats what was seen.
        moved: `(rows, columns)` bool, what has moved since the plan before.
        size_wh: Of the image.
        now_s: Of the source's clock.
    """

    number: int
    looks: tuple[Region, ...]
    moved: Mask
    size_wh: tuple[int, int]
    now_s: float


def most_looks(invokes_per_frame: float) -> int:
    """Return how many looks one frame may have."""
    return math.ceil(invokes_per_frame) + 1


class Planner:
    """Plans the pictures of one camera; `tell` may be called from another thread.

    Args:
        settings: Of the configuration.
        input_wh: Of the model.
        lag: How many plans behind the one that is made the last is whose result is sure to be told.

    Attributes:
        most_looks: Most of one picture, which is also the longest burst.
    """

    def __init__(self, settings: Regions, *, input_wh: tuple[int, int], lag: int) -> None:
        self._settings = settings
        self._input_wh = input_wh
        self._lag = lag
        self.most_looks = most_looks(settings.invokes_per_frame)
        # The first frame is looked at, whatever an invoke may cost.
        self._tokens = max(0.0, 1 - settings.invokes_per_frame)
        self._number = 0
        self._told: deque[tuple[int, Boxes, Mask]] = deque()
        self._begin((0, 0), np.zeros((0, 0), np.bool_))

    def _begin(self, size_wh: tuple[int, int], cells: Mask) -> None:
        self._size_wh, self._whole = size_wh, Region(0, 0, *size_wh)
        self._known, self._is_small = np.zeros((0, 4), np.float32), np.zeros(0, np.bool_)
        self._cell_px = np.array(size_wh) / np.maximum(cells.shape[::-1], 1)
        self._moved = np.zeros_like(cells)
        self._looked_s = np.full(cells.shape, -np.inf)
        self._swept_s = self._planned_s = -math.inf
        self._told.clear()

    def tell(self, number: int, boxes: Boxes, is_small: Mask) -> None:
        """Hear what is known once a plan was followed.

        Args:
            number: Of the plan.
            boxes: `(N, 4)` float32, xyxy, pixels of the image.
            is_small: `(N,)`, what no sweep would show.
        """
        self._told.append((number, boxes, is_small))

    def plan(self, moving: Mask, size_wh: tuple[int, int], now_s: float) -> Plan | None:
        """Return what to do with the next picture; `None` leaves it out.

        Args:
            moving: `(rows, columns)`, which cells of the image; all where it is another one.
            size_wh: Of the image.
            now_s: Of the source's clock.
        """
        if size_wh != self._size_wh or moving.shape != self._moved.shape:
            self._begin(size_wh, moving)
        while self._told and self._told[0][0] <= self._number - self._lag:
            _, self._known, self._is_small = self._told.popleft()
        self._moved |= moving
        self._tokens = min(self._tokens + self._settings.invokes_per_frame, float(self.most_looks))
        looks = self._looks(moving, now_s)
        if not looks and 0 <= now_s - self._planned_s < self._settings.still_s:
            return None
        self._tokens -= len(looks)
        plan = Plan(self._number, looks, self._moved, size_wh, now_s)
        self._number += 1
        self._planned_s = now_s
        self._moved = np.zeros_like(self._moved)
        return plan

    def take_back(self, plan: Plan) -> None:
        """Undo a plan that nobody followed, since a newer picture has replaced it."""
        self._tokens = min(self._tokens + len(plan.looks), float(self.most_looks))
        if plan.moved.shape != self._moved.shape or plan.size_wh != self._size_wh:
            return
        self._moved |= plan.moved
        for region in plan.looks:
            if region == self._whole:
                self._swept_s = -math.inf
            else:
                self._looked_s[self._cells(region.box)] = -math.inf

    def _looks(self, moving: Mask, now_s: float) -> tuple[Region, ...]:
        """Return what to look at with the tokens at hand, and note that it was."""
        room = min(int(self._tokens + ROUNDING), self.most_looks)
        if not room:
            return ()
        is_due = not 0 <= now_s - self._swept_s < self._settings.sweep_s
        looks = [self._whole] if is_due or moving.all() else []
        things = [] if moving.all() else self._things(moving, now_s)
        while things and len(looks) < room:
            thing = self._next_thing(things)
            region = self._region(thing)
            seen = thing if region == self._whole else region.box
            self._looked_s[self._cells(seen)] = now_s
            if region not in looks:
                looks.append(region)
        if self._whole in looks:
            self._swept_s = now_s
            looks.sort(key=lambda look: look != self._whole)
        return tuple(looks)

    def _things(self, moving: Mask, now_s: float) -> list[Box]:
        """Return boxes around what moves, and what rests and is due; the longest unseen first."""
        boxes = self._at_rest(moving, now_s) if len(self._known) else self._known
        if moving.any():  # else 90 µs for nothing
            boxes = np.concatenate([self._movers(moving), boxes])
        if not len(boxes):
            return []
        order = self._looked_s[self._centres(boxes)].argsort(kind="stable")[:MOST_THINGS]
        return [tuple(box) for box in boxes[order].tolist()]

    def _movers(self, moving: Mask) -> Boxes:
        """Return a box `(M, 4)` around each patch of cells that move, and the known in it."""
        joined = cv2.dilate(moving.view(np.uint8), NEIGHBOURS)
        _, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        corners = stats[1:, : cv2.CC_STAT_AREA]  # x, y, width, height, in cells; 0 is the ground
        # Without the cell by which it was dilated, which the frame's border cut off.
        low = corners[:, :2] + (corners[:, :2] > 0)
        ends = corners[:, :2] + corners[:, 2:]
        high = ends - (ends < moving.shape[::-1])
        boxes = np.hstack([low * self._cell_px, high * self._cell_px]).astype(np.float32)
        known = self._known
        apart = (boxes[:, None, 2:] <= known[:, :2]) | (known[:, 2:] <= boxes[:, None, :2])
        meets = ~apart.any(axis=2, keepdims=True)  # (M, N, 1)
        low = np.where(meets, known[:, :2], np.inf).min(axis=1, initial=np.inf)
        high = np.where(meets, known[:, 2:], -np.inf).max(axis=1, initial=-np.inf)
        return np.hstack([np.minimum(boxes[:, :2], low), np.maximum(boxes[:, 2:], high)])

    def _at_rest(self, moving: Mask, now_s: float) -> Boxes:
        """Return the boxes `(N, 4)` of what is known, small and still, and was seen long ago."""
        boxes = self._known[self._is_small]
        centres = self._centres(boxes)
        before_s = now_s - RECHECK_SWEEPS * self._settings.sweep_s
        found: Boxes = boxes[(self._looked_s[centres] <= before_s) & ~moving[centres]]
        return found

    def _centres(self, boxes: Boxes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows and columns of the cells of the boxes' centres."""
        at = ((boxes[:, :2] + boxes[:, 2:]) / (2 * self._cell_px)).astype(np.intp)
        rows, columns = self._moved.shape
        return np.minimum(at[:, 1], rows - 1), np.minimum(at[:, 0], columns - 1)

    def _cells(self, box: Box) -> tuple[slice, slice]:
        """Return the rows and columns of the cells that a box touches."""
        width, height = self._cell_px
        return (
            slice(int(box[1] / height), math.ceil(box[3] / height)),
            slice(int(box[0] / width), math.ceil(box[2] / width)),
        )

    def _next_thing(self, things: list[Box]) -> Box:
        """Take the first thing, and those that its region or one no larger shows, as one box."""
        thing = things.pop(0)
        for other in list(things):
            own = self._region(thing)
            both = (*map(min, thing[:2], other[:2]), *map(max, thing[2:], other[2:]))
            is_shown = own.shows(np.array([other]), self._size_wh).all()
            if is_shown or self._region(both).width <= own.width:
                thing = both
                things.remove(other)
        return thing

    def _region(self, box: Box) -> Region:
        """Return the region for a box, of the input's proportions as far as the frame allows."""
        aspect = self._input_wh[0] / self._input_wh[1]
        sides = (box[2] - box[0], box[3] - box[1])
        wanted = max(LEAST_SIDE * self._input_wh[0], MARGIN * max(sides[0], sides[1] * aspect))
        width, height = (
            2 * min(math.ceil(side / 2), most // 2)
            for side, most in zip((wanted, wanted / aspect), self._size_wh, strict=True)
        )
        if width * height > MOST_SHARE * self._whole.width * self._whole.height:
            return self._whole
        x, y = (
            2 * (max(0, min(round((low + high - side) / 2), most - side)) // 2)
            for low, high, side, most in zip(
                box[:2], box[2:], (width, height), self._size_wh, strict=True
            )
        )
        return Region(x, y, width, height)
