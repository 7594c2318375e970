"""One result a frame, of what each look of it found and of what was seen before.

What was seen stays until a look as close shows the same place again, or something moved there and
`MOVED_S` are over: a still scene stays what it was, and a sweep does not undo what only a closer
look can see. Of two looks that found one object the better finding stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.regions.plan import RECHECK_SWEEPS
from edge.results.detections import Detections, pairwise_iou

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.regions.plan import Plan

    Boxes = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Sightings = NDArray[np.void]  # of the dtype SIGHTING

# Least IoU of two findings of one object in looks of different scale, whose boxes are less alike
# than those of one look.
SAME_IOU = 0.45
# How long something is told of where it was, once something moved there.
MOVED_S = 0.5
# A look so many times coarser than the one that found something still has to find it again.
COARSER = 1.5
# How many times it may be due to be looked at again before it is given up.
MOST_RECHECKS = 2


# A detection, and how it was found: source pixels of an input's pixel in the look that found it,
# until when it is told of unseen, by the source's clock, and the look of this frame; -1 of earlier.
SIGHTING = np.dtype([
    ("box", np.float32, 4), ("score", np.float32), ("class_id", np.int32),
    ("scale", np.float64), ("until_s", np.float64), ("look", np.int64),
])  # fmt: skip
NONE = np.zeros(0, SIGHTING)


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
        self._size_wh = (0, 0)

    def merged(
        self, plan: Plan, found: Iterable[Detections], *, thresholds: Thresholds
    ) -> Detections:
        """Return what is seen on a frame, in new arrays.

        Args:
            plan: That was followed; each camera's in their order.
            found: By each of its looks, in pixels of the look; borrowed until the next.
            thresholds: Of the detections.
        """
        if self._size_wh != plan.size_wh:
            self._known, self._size_wh = NONE, plan.size_wh
        parts, cut, is_full = [], 0, False
        for number, (region, each) in enumerate(zip(plan.looks, found, strict=True)):
            seen = np.zeros(len(each), SIGHTING)
            seen["box"] = each.boxes + np.tile(np.array(region.box[:2], np.float32), 2)
            seen["score"], seen["class_id"], seen["look"] = each.scores, each.class_ids, number
            seen["scale"] = self._scale((region.width, region.height))
            seen["until_s"] = plan.now_s + self._still_s
            parts.append(seen[region.shows(seen["box"], plan.size_wh)])
            cut, is_full = cut + each.cut_candidates, is_full or each.is_full
        known = self._kept(plan)
        known = np.concatenate([*parts, known[known["score"] >= np.float32(thresholds.score)]])
        known = known[same_dropped(known)]
        order = np.negative(known["score"]).argsort(kind="stable")
        self._known = known = known[order[: thresholds.max_detections]]
        is_full = is_full or len(order) > thresholds.max_detections
        boxes, scores, class_ids = (known[name].copy() for name in ("box", "score", "class_id"))
        return Detections(boxes, scores, class_ids, cut_candidates=cut, is_full=is_full)

    def known(self, least_score: float) -> tuple[Boxes, Mask]:
        """Return the boxes `(N, 4)` that reach a score, and `(N,)` which of them no sweep shows."""
        sure = self._known[self._known["score"] >= np.float32(least_score)]
        return sure["box"].copy(), sure["scale"] < self._scale(self._size_wh) / COARSER

    def _scale(self, size_wh: tuple[int, int]) -> float:
        return max(side / own for side, own in zip(size_wh, self._input_wh, strict=True))

    def _kept(self, plan: Plan) -> Sightings:
        """Return what was known before and no look of this frame speaks of, unless it is old."""
        known, boxes = self._known, self._known["box"]
        latest_s = np.where(touched(boxes, plan.moved, plan.size_wh), MOVED_S, self._still_s)
        known["until_s"] = np.minimum(known["until_s"], plan.now_s + latest_s)
        known["look"] = -1
        kept = known["until_s"] >= plan.now_s
        for region in plan.looks:
            is_as_close = self._scale((region.width, region.height)) <= COARSER * known["scale"]
            kept &= ~(is_as_close & region.shows(boxes, plan.size_wh))
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
    order = np.lexsort((-seen["score"], seen["look"] < 0))
    boxes, looks, class_ids = (seen[name][order] for name in ("box", "look", "class_id"))
    same = pairwise_iou(boxes, boxes) > SAME_IOU  # (N, N)
    same &= (looks[:, None] != looks) & (class_ids[:, None] == class_ids)
    alive = np.ones(len(order), np.bool_)
    for row in same.any(axis=1).nonzero()[0]:
        if alive[row]:
            alive[row + 1 :] &= ~same[row, row + 1 :]
    return order[alive]
