"""The tracks of one camera as columns, and the detections of a frame as they meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.stages import motion as motions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results.detections import Detections

    Numbers = NDArray[np.float64]
    Rows = NDArray[np.intp]
    Scores = NDArray[np.float32]


@dataclass(slots=True)
class Tracks:
    """`T` tracks of one camera, by rising id.

    Attributes:
        motion: `(5, 2, 2, T)` float64, as `edge.stages.motion` has it.
        ids: `(T,)` int64, > 0.
        class_ids: `(T,)` int32, of the last sighting.
        sightings: `(T,)` int64, how often it was seen well.
        missed: `(T,)` int64, frames since the last sighting.
        seen_s: `(T,)` float64, when that was, of the source's clock.
        rest: `(2, T)` float64, x and y of the centre, where it came to rest.
        rest_s: `(T,)` float64, since when.
    """

    motion: Numbers
    ids: NDArray[np.int64]
    class_ids: NDArray[np.int32]
    sightings: NDArray[np.int64]
    missed: NDArray[np.int64]
    seen_s: Numbers
    rest: Numbers
    rest_s: Numbers

    @classmethod
    def begun(
        cls, measured: Numbers, class_ids: NDArray[np.int32], *, first_id: int, now_s: float
    ) -> Tracks:
        """Return a new track for each of the centres and sides `(2, 2, N)`."""
        count = len(class_ids)
        motion = motions.begun(measured)
        return cls(
            motion,
            np.arange(first_id, first_id + count, dtype=np.int64),
            class_ids,
            np.ones(count, np.int64),
            np.zeros(count, np.int64),
            np.full(count, now_s),
            measured[0],
            np.full(count, now_s),
        )

    def __getitem__(self, rows: NDArray[np.bool_]) -> Tracks:
        return Tracks(*(getattr(self, name)[..., rows] for name in Tracks.__slots__))

    def __add__(self, other: Tracks) -> Tracks:
        both = ((getattr(self, name), getattr(other, name)) for name in Tracks.__slots__)
        return Tracks(*(np.concatenate(columns, axis=-1) for columns in both))


@dataclass(slots=True)
class Seen:
    """`N` detections of finite numbers, by falling score, whatever order they came in.

    Attributes:
        rows: `(N,)`, which of the frame's detections each is.
        measured: `(2, 2, N)` float64, centre and sides, x and y of each.
        class_ids: `(N,)` int32.
        good: How many, the first ones, reach the score threshold.
    """

    rows: Rows
    measured: Numbers
    class_ids: NDArray[np.int32]
    good: int

    @classmethod
    def of(cls, found: Detections, *, score: float | Scores) -> Seen:
        """Take those of a frame whose numbers are finite.

        Args:
            found: On it.
            score: The score threshold, or that of each class, `(C,)`.
        """
        count, class_ids = len(found), found.class_ids
        table = np.empty((5, count))  # x and y of two corners, score
        table[:4], table[4] = found.boxes.T, found.scores
        least = np.float32(score) if isinstance(score, float) else score[class_ids]
        is_good = found.scores >= least
        rows = np.arange(count)
        # By all columns, so that rows in another order are the same tracks; most often they are.
        is_sorted = table[4, 1:] < table[4, :-1]
        is_sorted &= is_good[1:] <= is_good[:-1]
        is_finite = np.logical_and.reduce(np.isfinite(table), axis=None)
        if not (is_finite and np.logical_and.reduce(is_sorted)):
            rows = np.lexsort((class_ids, *table[:4], -table[4], ~is_good))
            rows = rows[np.isfinite(table[:, rows]).all(axis=0)]
            table, class_ids, is_good = table[:, rows], class_ids[rows], is_good[rows]
        good = int(np.count_nonzero(is_good))
        return cls(rows, motions.centred(table[:4].reshape(2, 2, -1)), class_ids, good)
