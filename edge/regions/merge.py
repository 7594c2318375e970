"""One result a frame, of what each look of it found and of what was seen before.

What was seen stays until a look as close shows the same place again, or something moved there and
`MOVED_S` are over: a still scene stays what it was, and a sweep does not undo what only a closer
look can see. Of two looks that found one object the better finding stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.regions.plan import RECHECK_SWEEPS
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.regions.plan import Plan

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
        parts, cut, is_full = [], 0, False
        for number, (region, each) in enumerate(zip(plan.looks, found, strict=True)):
            scale = self._scale((region.width, region.height))
            seen = Sightings.of(each, number, scale=scale, until_s=plan.now_s + self._still_s)
            seen.boxes[:] += np.tile(region.box[:2], 2)
            parts.append(seen[region.shows(seen.boxes, plan.size_wh)])
            cut, is_full = cut + each.cut_candidates, is_full or each.is_full
        known = self._kept(plan)
        known = Sightings.all([*parts, known[known.scores >= np.float32(thresholds.score)]])
        known = known[same_dropped(known)]
        order = np.negative(known.scores).argsort(kind="stable")
        self._known = known = known[order[: thresholds.max_detections]]
        is_full = is_full or len(order) > thresholds.max_detections
        return Detections(
            known.boxes, known.scores, known.class_ids, cut_candidates=cut, is_full=is_full
        )

    def known(self, least_score: float) -> tuple[Boxes, Mask]:
        """Return the boxes `(N, 4)` that reach a score, and `(N,)` which of them no sweep shows."""
        sure = self._known[self._known.scores >= np.float32(least_score)]
        return sure.boxes, np.less(sure.scales, self._scale(self._size_wh) / COARSER)

    def _scale(self, size_wh: tuple[int, int]) -> float:
        return max(side / own for side, own in zip(size_wh, self._input_wh, strict=True))

    def _kept(self, plan: Plan) -> Sightings:
        """Return what was known before and no look of this frame speaks of, unless it is old."""
        known = self._known
        moved = touched(known.boxes, plan.moved, plan.size_wh)
        latest_s = plan.now_s + np.where(moved, MOVED_S, self._still_s)
        np.minimum(known.until_s, latest_s, out=known.until_s)
        known.looks[:] = -1
        kept = known.until_s >= plan.now_s
        for region in plan.looks:
            is_as_close = self._scale((region.width, region.height)) <= COARSER * known.scales
            kept &= ~(is_as_close & region.shows(known.boxes, plan.size_wh))
        return known[kept]


def touched(boxes: Boxes, cells: Mask, size_wh: tuple[int, int]) -> Mask:
    """Return which boxes `(N, 4)` touch a cell that is set, of a grid over the image."""
    most = np.array(cells.shape[::-1])
    per_px = most / size_wh
    x, y = np.floor(boxes[:, :2] * per_px).astype(np.intp).T
    x_end, y_end = np.minimum(np.ceil(boxes[:, 2:] * per_px).astype(np.intp), most).T
    sums = cv2.integral(cells.view(np.uint8))
    found: Mask = sums[y_end, x_end] - sums[y, x_end] > sums[y_end, x] - sums[y, x]
    return found


def same_dropped(seen: Sightings) -> NDArray[np.intp]:
    """Return the rows that stay: of two looks' findings of one object the better, or the newer.

    Those of one look, and those of earlier frames, have met each other already.
    """
    order = np.lexsort((-seen.scores, seen.looks < 0))
    boxes, looks, class_ids = seen.boxes[order], seen.looks[order], seen.class_ids[order]
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    shared = np.maximum(np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - low, 0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    same = shared > SAME_IOU * (areas[:, None] + areas - shared)  # (N, N)
    same &= (looks[:, None] != looks) & (class_ids[:, None] == class_ids)
    alive = np.ones(len(order), np.bool_)
    for row in same.any(axis=1).nonzero()[0]:
        if alive[row]:
            alive[row + 1 :] &= ~same[row, row + 1 :]
    return order[alive]
