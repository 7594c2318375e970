"""One result a frame, of what each look of it found and of what was seen before.

What was seen stays until a look as close shows the same place again, or something moved there and
`MOVED_S` are over: a still scene stays what it was, and a sweep does not undo what only a closer
look can see. Of two looks that found one object the better finding stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.regions.plan import MOST_CUT, RECHECK_SWEEPS
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.regions.plan import Plan, Region

    Boxes = NDArray[np.float32]
    Mask = NDArray[np.bool_]

# Least IoU of two findings of one object in looks of different scale, whose boxes are less alike
# than those of one look.
SAME_IOU = 0.45
# How long something is told of where it was, once something moved there.
MOVED_S = 0.5
# A look so many times coarser than the one that found something still has to find it again.
COARSER = 1.5
# How many times it may be due to be looked at again before it is given up.
MOST_RECHECKS = 2


@dataclass(frozen=True, slots=True)
class Sightings:
    """`N` detections, and how each was found.

    Attributes:
        boxes: `(N, 4)` float32, xyxy, source pixels.
        scores: `(N,)` float32.
        class_ids: `(N,)` int32.
        scales: `(N,)` float64, source pixels of an input's pixel in the look that found it.
        until_s: `(N,)` float64, of the source's clock: until when it is told of unseen.
        looks: `(N,)` int64, which look of this frame it was; -1 of an earlier frame.
    """

    boxes: Boxes
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    scales: NDArray[np.float64]
    until_s: NDArray[np.float64]
    looks: NDArray[np.int64]

    def __getitem__(self, rows: Mask | NDArray[np.intp] | slice) -> Sightings:
        return Sightings(*(getattr(self, name)[rows] for name in Sightings.__slots__))

    @classmethod
    def of(cls, found: Detections, look: int, *, scale: float, until_s: float) -> Sightings:
        """Return copies of what one look found, with the number of the look."""
        count = len(found)
        return cls(
            found.boxes.copy(), found.scores.copy(), found.class_ids.copy(),
            np.full(count, scale), np.full(count, until_s), np.full(count, look, np.int64),
        )  # fmt: skip

    @classmethod
    def all(cls, parts: Sequence[Sightings]) -> Sightings:
        """Return those of several, in their order."""
        columns = ([getattr(part, name) for part in parts] for name in Sightings.__slots__)
        return cls(*(np.concatenate(column) for column in columns))


NONE = Sightings.of(Detections.none(), -1, scale=1.0, until_s=0.0)


class Memory:
    """What is known of one camera's scene; for one thread.

    Args:
        input_wh: Of the model.
        sweep_s: Of the configuration.
    """

    def __init__(self, input_wh: tuple[int, int], sweep_s: float) -> None:
        self._input_wh = input_wh
        self._still_s = MOST_RECHECKS * RECHECK_SWEEPS * sweep_s
        self._known = NONE
        self._size_wh, self._digest = (0, 0), ""

    def begin(self, size_wh: tuple[int, int], digest: str) -> None:
        """Forget what is known if it is of frames of another size, or of another model."""
        if (self._size_wh, self._digest) != (size_wh, digest):
            self._known, self._size_wh, self._digest = NONE, size_wh, digest

    def merged(
        self, plan: Plan, found: Iterable[Detections], *, thresholds: Thresholds
    ) -> Detections:
        """Return what is seen on a frame, in new arrays.

        Args:
            plan: That was followed; each camera's in their order.
            found: By each of its looks, in pixels of the look; borrowed until the next.
            thresholds: Of the detections.
        """
        parts, until_s = [], plan.now_s + self._still_s
        cut, is_full = 0, False
        for number, (region, each) in enumerate(zip(plan.looks, found, strict=True)):
            scale = self._scale((region.width, region.height))
            seen = Sightings.of(each, number, scale=scale, until_s=until_s)
            parts.append(whole_ones(seen, region, plan.size_wh))
            cut, is_full = cut + each.cut_candidates, is_full or each.is_full
        known = self._kept(plan)
        known = Sightings.all([*parts, known[known.scores >= np.float32(thresholds.score)]])
        known = known[same_dropped(known)]
        most = thresholds.max_detections
        is_full = is_full or len(known.scores) > most
        known = known[np.negative(known.scores).argsort(kind="stable")[:most]]
        self._known = known
        return Detections(
            known.boxes, known.scores, known.class_ids, cut_candidates=cut, is_full=is_full
        )

    @property
    def boxes(self) -> Boxes:
        """Of all that is known, `(N, 4)`."""
        return self._known.boxes

    @property
    def is_small(self) -> Mask:
        """Which of them `(N,)` no sweep would show."""
        small: Mask = np.less(
            self._known.scales, self._scale(self._size_wh) / COARSER, dtype=np.bool_
        )
        return small

    def _scale(self, size_wh: tuple[int, int]) -> float:
        return max(side / own for side, own in zip(size_wh, self._input_wh, strict=True))

    def _kept(self, plan: Plan) -> Sightings:
        """Return what was known before and no look of this frame speaks of, unless it is old."""
        known = self._known
        if not len(known.scores):
            return NONE
        moved = touched(known.boxes, plan.moved, plan.size_wh)
        latest_s = plan.now_s + np.where(moved, MOVED_S, self._still_s)
        np.minimum(known.until_s, latest_s, out=known.until_s)
        known.looks[:] = -1
        kept = known.until_s >= plan.now_s
        for region in plan.looks:
            shown = is_whole(known.boxes, region, plan.size_wh)
            kept &= ~(
                shown & (self._scale((region.width, region.height)) <= COARSER * known.scales)
            )
        return known[kept]


def touched(boxes: Boxes, cells: Mask, size_wh: tuple[int, int]) -> Mask:
    """Return which boxes `(N, 4)` touch a cell that is set, of a grid over the image."""
    rows, columns = cells.shape
    if not cells.any():
        return np.zeros(len(boxes), np.bool_)
    sums = np.zeros((rows + 1, columns + 1), np.int32)
    sums[1:, 1:] = cells.cumsum(axis=0, dtype=np.int32).cumsum(axis=1)
    per_px = np.array([columns, rows]) / size_wh
    x, y = np.floor(boxes[:, :2] * per_px).astype(np.intp).T
    most = np.array([columns, rows])
    x_end, y_end = np.minimum(np.ceil(boxes[:, 2:] * per_px).astype(np.intp), most).T
    count = sums[y_end, x_end] - sums[y, x_end] - sums[y_end, x] + sums[y, x]
    found: Mask = count > 0
    return found


def is_whole(boxes: Boxes, region: Region, size_wh: tuple[int, int]) -> Mask:
    """Return which boxes `(N, 4)` a region shows whole: its borders cut none, the frame's may."""
    low = np.array([region.x, region.y], np.float32)
    sides = np.array([region.width, region.height], np.float32)
    high = low + sides
    first = np.where(low > 0, low + MOST_CUT * sides, -np.inf)
    last = np.where(high < size_wh, high - MOST_CUT * sides, np.inf)
    cut: Mask = (boxes[:, :2] < first) | (boxes[:, 2:] > last)
    whole: Mask = np.logical_not(cut.any(axis=1))
    return whole


def whole_ones(seen: Sightings, region: Region, size_wh: tuple[int, int]) -> Sightings:
    """Return what a region shows whole; boxes become source pixels in place."""
    seen.boxes[:, 0::2] += region.x
    seen.boxes[:, 1::2] += region.y
    kept = is_whole(seen.boxes, region, size_wh)
    return seen if kept.all() else seen[kept]


def same_dropped(seen: Sightings) -> NDArray[np.intp]:
    """Return the rows that stay: of two looks' findings of one object the better, or the newer.

    Those of one look, and those of earlier frames, have met each other already.
    """
    is_old = seen.looks < 0
    order = np.lexsort((-seen.scores, is_old))
    if len(seen.looks) < 2 or (seen.looks == seen.looks[0]).all():  # noqa: PLR2004 - a pair
        return order
    boxes, looks, class_ids = seen.boxes[order], seen.looks[order], seen.class_ids[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(order), np.bool_)
    for row in range(len(order) - 1):
        if not alive[row]:
            continue
        box, rest = boxes[row], boxes[row + 1 :]
        sides = np.minimum(box[2:], rest[:, 2:]) - np.maximum(box[:2], rest[:, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        union = areas[row] + areas[row + 1 :] - shared
        meets = (looks[row] != looks[row + 1 :]) & (class_ids[row] == class_ids[row + 1 :])
        alive[row + 1 :] &= ~(meets & (shared > SAME_IOU * union))
    return order[alive]
