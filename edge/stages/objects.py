"""What is kept of each object of one camera, for the events that are told of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.stages.areas import GroundScale

    Numbers = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Whole = NDArray[np.int64]
    Rows = NDArray[np.intp]
    Pairs = list[tuple[int, int]]

# Points of a path; a full one keeps every other, and grows half as fast from then on.
PATH_POINTS = 32
# How far apart they are at first, in shares of the frame.
PATH_STEP = 0.01
# How often positions are kept for a speed, how many, and the shortest time for one.
SAMPLE_S, SAMPLES, LEAST_SPEED_S = 0.25, 5, 0.2
# Of each column its shape without the objects, and its type; those left out are () of float64.
LAYOUT: dict[str, tuple[tuple[Any, ...], Any]] = {
    **dict.fromkeys(("ids", "first_utc", "seen_utc"), ((), np.int64)),
    **dict.fromkeys(("class_ids", "path_points"), ((), np.intp)),
    **dict.fromkeys(("inside", "dwelt"), (("Z",), np.bool_)),
    **dict.fromkeys(("since_s", "entered_s"), (("Z",), np.float64)),
    **dict.fromkeys(("since_utc", "entered_utc"), (("Z",), np.int64)),
    "placed": (("Z + L",), np.bool_),
    "side": (("L",), np.int8),
    "through": (("L",), np.bool_),
    "known": ((), np.bool_),
    "boxes": ((2, 2), np.float64),
    "path": ((2, PATH_POINTS), np.float64),
    "samples": ((2, SAMPLES), np.float64),
}


@dataclass(slots=True)
class Objects:
    """`T` objects by rising id, `Z` zones, `L` lines.

    Attributes:
        ids: `(T,)` of their tracks.
        class_ids: `(T,)` of the best score, until they are known.
        best: `(T,)` best score.
        first_s: `(T,)` when they were first seen, of the camera's clock.
        first_utc: `(T,)` likewise, nanoseconds UTC.
        seen_s: `(T,)` when last.
        seen_utc: `(T,)` likewise.
        known: `(T,)` seen for long enough to be told of.
        boxes: `(2, 2, T)` two corners, x and y of each, shares of the frame, when last seen.
        placed: `(Z + L, T)` in the zone, or to the right of the line, when last seen.
        inside: `(Z, T)` the same for so long that it was told.
        since_s: `(Z, T)` since when `placed` is what it is.
        since_utc: `(Z, T)` likewise.
        entered_s: `(Z, T)` of those that are inside, since when.
        entered_utc: `(Z, T)` likewise.
        dwelt: `(Z, T)` that was told.
        side: `(L, T)` int8, of a line, that was told: 1 right, -1 left, 0 never far enough from it.
        through: `(L, T)` the last way to the other side led through the segment.
        path: `(2, PATH_POINTS, T)` x and y of the middle of the lower side.
        path_points: `(T,)` how many of them.
        path_step: `(T,)` how far apart.
        samples: `(2, SAMPLES, T)` the same points at the last times of sampling; NaN if not seen.
    """

    ids: Whole
    class_ids: Rows
    best: Numbers
    first_s: Numbers
    first_utc: Whole
    seen_s: Numbers
    seen_utc: Whole
    known: Flags
    boxes: Numbers
    placed: Flags
    inside: Flags
    since_s: Numbers
    since_utc: Whole
    entered_s: Numbers
    entered_utc: Whole
    dwelt: Flags
    side: NDArray[np.int8]
    through: Flags
    path: Numbers
    path_points: Rows
    path_step: Numbers
    samples: Numbers

    @classmethod
    def blank(cls, count: int, *, zones: int, lines: int) -> Objects:
        """Return so many objects of which nothing is known."""
        rows = {"Z": zones, "L": lines, "Z + L": zones + lines}
        made: dict[str, Any] = {}
        for each in fields(cls):
            shape, dtype = LAYOUT.get(each.name, ((), np.float64))
            made[each.name] = np.zeros((*(rows.get(n, n) for n in shape), count), dtype)
        made["path_step"][:] = PATH_STEP
        made["samples"][:] = np.nan
        return cls(**made)

    def moved(
        self, zones: Pairs, lines: Pairs, *, counts: tuple[tuple[int, int], tuple[int, int]]
    ) -> Objects:
        """Return the same objects among other zones and lines.

        Args:
            zones: Those that go on, numbers now and before.
            lines: Likewise.
            counts: How many zones and lines there are now, and were before.
        """
        (now, lines_now), (before, _) = counts
        moved = Objects.blank(len(self), zones=now, lines=lines_now)
        pairs = {"Z": zones, "L": lines}
        pairs["Z + L"] = [*zones, *((now + n, before + o) for n, o in lines)]
        for each in fields(self):
            shape, _ = LAYOUT.get(each.name, ((), None))
            if shape and shape[0] in pairs:
                for new, old in pairs[shape[0]]:
                    getattr(moved, each.name)[new] = getattr(self, each.name)[old]
            else:
                setattr(moved, each.name, getattr(self, each.name))
        return moved

    def __len__(self) -> int:
        return len(self.ids)

    def keep_inplace(self, rows: Flags | Rows) -> None:
        """Keep these, or take them in this order."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name)[..., rows])

    def add_inplace(self, others: Objects) -> None:
        """Take others in, each in the place of its id."""
        for each in fields(self):
            both = getattr(self, each.name), getattr(others, each.name)
            setattr(self, each.name, np.concatenate(both, axis=-1))
        if (np.diff(self.ids) < 0).any():
            self.keep_inplace(self.ids.argsort())

    def sample_inplace(self, rows: Rows, points: Numbers) -> None:
        """Take in where those of some rows are now: points `(2, N)`."""
        self.samples[:, :-1] = self.samples[:, 1:]
        self.samples[:, -1] = np.nan
        self.samples[:, -1, rows] = points
        count = self._made_room_inplace(rows)
        away = np.abs(points - self.path[:, count - 1, rows]).max(axis=0)
        is_further = (away >= self.path_step[rows]) | (count == 0)
        further = rows[is_further]
        self.path[:, count[is_further], further] = points[:, is_further]
        self.path_points[further] += 1

    def _made_room_inplace(self, rows: Rows) -> Rows:
        """Return how many points the paths of some rows have; there is room for one more."""
        full = rows[self.path_points[rows] == PATH_POINTS]
        if len(full):
            half = PATH_POINTS // 2
            self.path[:, :half, full] = self.path[:, ::2, full]
            self.path_points[full] = half
            self.path_step[full] *= 2
        return self.path_points[rows]

    def path_of(self, row: int) -> tuple[tuple[float, float], ...]:
        """Return where an object was, oldest first, and where it was last."""
        points = self.path[:, : self.path_points[row], row].T.tolist()
        return (*((x, y) for x, y in points), _foot(self.boxes[..., row]))

    def speed_of(self, row: int, ground: GroundScale, sampled_s: list[float]) -> float | None:
        """Return the speed over about the last second, metres a second; `None` if it is not known.

        Args:
            row: Of the object.
            ground: Where points are on it.
            sampled_s: Times of the last samples.
        """
        now = ground.metres(np.array(_foot(self.boxes[..., row])))
        for number, at_s in enumerate(sampled_s, SAMPLES - len(sampled_s)):
            before, elapsed_s = self.samples[:, number, row], self.seen_s[row] - at_s
            if elapsed_s >= LEAST_SPEED_S and np.isfinite(before).all():
                metres = float(np.hypot(*(now - ground.metres(before))))
                return metres / float(elapsed_s) if np.isfinite(metres) else None
        return None


def _foot(box: Numbers) -> tuple[float, float]:
    """Return the middle of the lower side of a box `(2, 2)`."""
    (x_low, _), (x_high, y_high) = box.tolist()
    return (x_low + x_high) / 2, y_high


def feet(boxes: Numbers) -> Numbers:
    """Return the middles of the lower sides of boxes `(2, 2, N)`, `(2, N)`."""
    return np.stack([(boxes[0, 0] + boxes[1, 0]) / 2, boxes[1, 1]])
