"""Candidates: what passed the threshold, best first to stay, in buffers that hold no more.

Every decoder fills these, in the order of its heads: by grid, cell and anchor, then by class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSITION_BITS = 32
POSITION_MASK = (1 << POSITION_BITS) - 1
SIGN_SHIFT, MAGNITUDE_MASK = 31, 0x7FFFFFFF


class Candidates:
    """The best candidates of one frame, and of equal ones the first.

    Args:
        capacity: Most that stay, >= 1.

    Attributes:
        boxes: `(capacity, 4)` float32, xyxy, input pixels, not clipped, finite.
        scores: `(capacity,)` float32 in [0, 1].
        class_ids: `(capacity,)` int32, indices into the labels.
        cells: `(capacity,)` int64, rising: in which row of the heads each stood.
        count: Rows in use.
    """

    def __init__(self, capacity: int) -> None:
        self.boxes = np.zeros((capacity, 4), np.float32)
        self.scores = np.zeros(capacity, np.float32)
        self.class_ids = np.zeros(capacity, np.int32)
        self.cells = np.zeros(capacity, np.int64)
        self.count = 0

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
        """Drop what has a box that is not a number, as damaged float heads give it.

        Returns:
            How many are left.
        """
        is_number: NDArray[np.bool_] = np.logical_not(
            np.isnan(self.boxes[: self.count]).any(axis=1)
        )
        self.count = keep_inplace(is_number, (self.boxes, self.scores, self.class_ids))
        return self.count


def keep_inplace(keeps: NDArray[np.bool_], buffers: tuple[NDArray[Any], ...]) -> int:
    """Close up the rows that `keeps` `(n,)` marks among the first n; return their number."""
    if keeps.all():
        return len(keeps)
    rows = keeps.nonzero()[0]
    for buffer in buffers:
        buffer[: len(rows)] = buffer[rows]
    return len(rows)


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
