"""Candidates: what passed the threshold, best first to stay, and what suppression leaves of them.

Every decoder of boxes fills these, in the order of its tensors: by grid, cell and anchor, then by
class. Of equal scores beyond the capacity the earlier stay. A score that is NaN never passes, and
of the best those with a box that is NaN are dropped. Nothing that is made for a frame grows with
cells times classes, only with the candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.suppress import Suppressor
from edge.results.detections import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds

POSITION_BITS = 32
POSITION_MASK = (1 << POSITION_BITS) - 1
SIGN_SHIFT, MAGNITUDE_MASK = 31, 0x7FFFFFFF
WORD_BYTES, BYTE_BITS, BYTE_MASK = 8, 3, 7


class Candidates:
    """The best candidates of one frame, and of equal ones the first.

    Args:
        thresholds: How many stay, how many detections there may be, and how far they may overlap.

    Attributes:
        boxes: `(capacity, 4)` float32, xyxy, input pixels, not clipped, finite; of damaged
            distances perhaps with its sides swapped.
        scores: `(capacity,)` float32 in [0, 1].
        class_ids: `(capacity,)` int32, indices into the labels.
        cells: `(capacity,)` int64, rising: in which row of the tensors each stood.
        count: Rows in use.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        capacity = thresholds.candidates
        self.boxes = np.zeros((capacity, 4), np.float32)
        self.scores = np.zeros(capacity, np.float32)
        self.class_ids = np.zeros(capacity, np.int32)
        self.cells = np.zeros(capacity, np.int64)
        self.count = 0
        self._thresholds = thresholds
        self._suppressor = Suppressor(capacity)

    def add(
        self, cells: NDArray[np.int64], class_ids: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> None:
        """Add candidates that stand behind the present ones, which they may drive out.

        Args:
            cells: `(n,)`, rising, none below those added before.
            class_ids: `(n,)`.
            scores: `(n,)` >= 0, never NaN.
        """
        start, end = self.count, self.count + len(scores)
        if end > len(self.scores):
            scores = np.concatenate([self.scores[:start], scores])
            best = best_rows(scores, keep=len(self.scores))
            cells = np.concatenate([self.cells[:start], cells])[best]
            class_ids = np.concatenate([self.class_ids[:start], class_ids])[best]
            scores = scores[best]
            start, end = 0, len(best)
        self.cells[start:end] = cells
        self.class_ids[start:end] = class_ids
        self.scores[start:end] = scores
        self.count = end

    def drop_nan(self) -> int:
        """Drop what has a box that is not a number, as damaged float tensors give it.

        Returns:
            How many are left.
        """
        boxes = self.boxes[: self.count]
        is_number: NDArray[np.bool_] = np.logical_not(np.isnan(boxes).any(axis=1))
        return self._keep(is_number)

    def suppress(self) -> int:
        """Keep the survivors, best first; return their number."""
        self.count = self._suppressor.suppress_inplace(
            self.boxes[: self.count],
            self.scores[: self.count],
            self.class_ids[: self.count],
            iou_threshold=self._thresholds.iou,
            max_detections=self._thresholds.max_detections,
        )
        return self.count

    def detections(self, placement: Placement, clock: StageClock) -> Detections:
        """Suppress, and go back to source pixels; borrowed until the next frame.

        What lay wholly outside the frame has no area once it is clipped, and is dropped. The time
        so far goes to the stage `decode`, that of this to `suppress`.
        """
        clock.lap("decode")
        if self.suppress():
            boxes = self.boxes[: self.count]
            placement.boxes_to_source_inplace(boxes)
            self._keep((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        count = self.count
        found = Detections(self.boxes[:count], self.scores[:count], self.class_ids[:count])
        clock.lap("suppress")
        return found

    def _keep(self, keeps: NDArray[np.bool_]) -> int:
        """Close up the rows in use that `keeps` `(count,)` marks; return their number."""
        if not keeps.all():
            rows = keeps.nonzero()[0]
            for buffer in (self.boxes, self.scores, self.class_ids):
                buffer[: len(rows)] = buffer[rows]
            self.count = len(rows)
        return self.count


class Flags:
    """Flags, few of very many set, whose positions are found eight at a time; buffers made once.

    Of 512,000 flags with 20 set, x86, NumPy 2.4: 17 µs, where `nonzero` of them all takes 46.

    Args:
        count: Number of flags.

    Attributes:
        each: `(count,)`, to be written.
    """

    def __init__(self, count: int) -> None:
        words = -(-count // WORD_BYTES)
        flags = np.zeros(words * WORD_BYTES, np.bool_)  # those past the count are never set
        self.each = flags[:count]
        self._words = flags.view(np.uint64)
        self._is_word_set = np.zeros(words, np.bool_)

    def positions(self) -> NDArray[np.int64]:
        """Return where flags are set, `(n,)`, rising; a new array."""
        words = np.not_equal(self._words, 0, out=self._is_word_set).nonzero()[0]
        bytes_set = self._words.take(words).view(np.bool_).nonzero()[0]  # of those words
        words <<= BYTE_BITS
        positions = words.take(bytes_set >> BYTE_BITS)
        bytes_set &= BYTE_MASK
        positions += bytes_set
        return positions


def best_rows(values: NDArray[Any], *, keep: int) -> NDArray[np.int64]:
    """Return the rows of the `keep` greatest of more values, rising; of equals the first.

    One integer key holds value and row, so that ties fall the same way each time.

    Args:
        values: `(n,)` with ``n > keep``, integers of up to 16 bits or floats, none NaN.
        keep: >= 1.
    """
    keys = _sortable(values).astype(np.int64)
    np.left_shift(keys, POSITION_BITS, out=keys)
    np.subtract(np.arange(len(values)), keys, out=keys)
    keys.partition(keep - 1)
    best = keys[:keep]
    np.bitwise_and(best, POSITION_MASK, out=best)
    best.sort()
    return best


def _sortable(values: NDArray[Any]) -> NDArray[Any]:
    """Return integers that order as the values do: of a float its bits, those below 0 reversed."""
    if values.dtype.kind != "f":
        return values
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    return np.asarray(bits ^ ((bits >> SIGN_SHIFT) & MAGNITUDE_MASK))
