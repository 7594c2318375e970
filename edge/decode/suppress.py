"""Greedy non-maximum suppression, class by class or of all together.

Source: TensorFlow Lite, `tensorflow/lite/kernels/detection_postprocess.cc`, regular suppression: a
candidate falls when its IoU with a kept one of its class is *greater* than the threshold, a box
without area has IoU 0, and of equal scores the earlier row goes first. The builtin op
NON_MAX_SUPPRESSION_V4 differs in one thing: there an IoU *equal* to the threshold suppresses too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Suppression

    Rows = NDArray[np.int64]

# x_min, y_min, x_max, y_max, area.
PLANES = 5
# Candidates that meet each other at once: whatever the capacity, a call takes at most 1.6 MiB.
BLOCK = 128


class Suppressor:
    """Finds survivors, in buffers of its own.

    Candidates go through it in blocks by falling score: a block meets the survivors of those before
    it, and then itself. Only pairs of a class are looked at, which are few: 100 candidates of ten
    classes make 500 pairs, and take 31 µs, where the square of them takes 80 (x86, NumPy 2.4).

    Args:
        capacity: Most candidates of one call, >= 1.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._row_numbers = np.arange(capacity, dtype=np.int64)
        self._planes = np.empty((PLANES, capacity), np.float32)
        self._class_ids = np.zeros(capacity, np.int32)
        self._survivors = np.empty(capacity, np.int64)
        block = min(capacity, BLOCK)
        self._meets = np.empty(block**2, np.bool_)
        self._is_later = np.triu(np.ones((block, block), np.bool_), 1)

    def select(  # noqa: PLR0913
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        class_ids: NDArray[np.int32],
        *,
        iou_threshold: float,
        max_detections: int,
        suppression: Suppression = "class",
    ) -> Rows:
        """Return the rows of the survivors, by falling score; a new array.

        Args:
            boxes: `(K, 4)` float32, xyxy, finite; any unit.
            scores: `(K,)` float32, >= 0.
            class_ids: `(K,)` int32.
            iou_threshold: Greatest IoU, in [0, 1], that two survivors that meet may have.
            max_detections: Most survivors, >= 0; the best ones stay.
            suppression: Which meet: those of one `class`, `all`, or `none`.

        Raises:
            ValueError: `K` is greater than the capacity.
        """
        count = len(scores)
        if count > self._capacity:
            raise ValueError(f"at most {self._capacity} candidates fit, got {count}")
        order: Rows = np.negative(scores).argsort(kind="stable")
        if suppression == "none" or count == 0:
            return order[:max_detections]
        self._lay_planes(boxes.take(order, axis=0))
        self._class_ids[:count] = class_ids.take(order) if suppression == "class" else 0
        kept = 0
        for start in range(0, count, BLOCK):
            if kept >= max_detections:
                break
            block = slice(start, min(start + BLOCK, count))
            alive = self._meet(block, kept, np.float32(iou_threshold))[: max_detections - kept]
            self._survivors[kept : kept + len(alive)] = alive + start
            kept += len(alive)
        rows: Rows = order.take(self._survivors[:kept])
        return rows

    def _lay_planes(self, boxes: NDArray[np.float32]) -> None:
        """Lay the sorted boxes `(K, 4)` into the planes, with their areas."""
        planes = self._planes[:, : len(boxes)]
        planes[:4] = boxes.T
        sides = planes[2:4] - planes[:2]
        np.multiply(sides[0], sides[1], out=planes[4])

    def _meet(self, block: slice, kept: int, iou_threshold: np.float32) -> Rows:
        """Return which of a block survive `kept` earlier ones and each other, from its start."""
        count = block.stop - block.start
        alive = bytearray(b"\1") * count
        is_alive = np.frombuffer(alive, np.bool_)
        for start in range(0, kept, BLOCK):
            earlier = self._survivors[start : min(start + BLOCK, kept)]
            _, losers = self._overlaps(earlier, block, iou_threshold)
            is_alive[losers] = False
        own = self._row_numbers[block]
        # By rising winner: once it is asked for, everyone before it has had its turn.
        winners, losers = self._overlaps(own, block, iou_threshold)
        for winner, loser in zip(winners.tolist(), losers.tolist(), strict=True):
            if alive[winner]:
                alive[loser] = 0
        return is_alive.nonzero()[0]

    def _overlaps(self, first: Rows, second: slice, iou_threshold: np.float32) -> tuple[Rows, Rows]:
        """Return which of some sorted candidates and which of a block overlap too much, as pairs.

        Of the block with itself, only the pairs whose first is the better.
        """
        count = second.stop - second.start
        meets = self._meets[: len(first) * count].reshape(-1, count)
        ids = self._class_ids
        np.equal(ids.take(first)[:, None], ids[second], out=meets)
        if first[0] == second.start:
            meets &= self._is_later[:count, :count]
        pairs = meets.reshape(-1).nonzero()[0]
        ours = pairs // count
        theirs = pairs - ours * count
        one = self._planes.take(first.take(ours), axis=1)  # (PLANES, pairs)
        other = self._planes[:, second].take(theirs, axis=1)
        lower = np.maximum(one[:2], other[:2])
        upper = np.minimum(one[2:4], other[2:4])
        # As max(upper - lower, 0).
        sides = np.maximum(upper, lower, out=upper)
        sides -= lower
        intersection = sides[0] * sides[1]
        union = one[4] + other[4]
        union -= intersection
        # A box without area has intersection 0; its IoU is 0, or NaN for 0 / 0: never the greater.
        with np.errstate(divide="ignore", invalid="ignore"):
            overlap = (np.divide(intersection, union, out=union) > iou_threshold).nonzero()[0]
        return ours.take(overlap), theirs.take(overlap)
