"""What a pose model saw on one frame: detections, and the keypoints of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.results.detections import Detection, Detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

POINT = 3  # x, y, score


@dataclass(frozen=True, slots=True)
class Pose(Detection):
    """One pose.

    Attributes:
        points: K times x, y in source-frame pixels, and score in [0, 1].
    """

    points: tuple[tuple[float, float, float], ...] = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Poses(Detections):
    """`N` detections by falling score, each with K keypoints.

    Attributes:
        points: `(N, K, 3)` float32: x, y in source-frame pixels, not clipped, since a model may
            guess a point outside the frame; score in [0, 1], 1 where the model gives none.

    Raises:
        ValueError: The shapes do not match each other.
    """

    points: NDArray[np.float32] = field(kw_only=True)

    def __post_init__(self) -> None:
        Detections.__post_init__(self)
        count = len(self.scores)
        if self.points.shape[:1] + self.points.shape[2:] != (count, POINT):
            raise ValueError(
                f"points must have shape ({count}, K, {POINT}) to match scores, got "
                f"{self.points.shape}"
            )

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Poses:
        """Return some of them: those of a mask `(N,)`, a slice (a view), or row numbers `(M,)`."""
        return Poses.of(Detections.__getitem__(self, rows), self.points[rows])

    def __iter__(self) -> Iterator[Pose]:
        """Give each in turn; for people and for few."""
        for found, points in zip(Detections.__iter__(self), self.points.tolist(), strict=True):
            rows = tuple(map(tuple, points))
            yield Pose(**asdict(found), points=rows)

    @classmethod
    def of(cls, seen: Detections, points: NDArray[np.float32]) -> Poses:
        """Return detections with their points."""
        return cls(**seen.columns(), points=points)

    @classmethod
    def none(cls) -> Poses:
        """Return zero poses, of no points."""
        return cls.of(Detections.none(), np.zeros((0, 0, POINT), np.float32))

    def copy(self) -> Poses:
        """Return the same poses in arrays of their own."""
        return Poses.of(Detections.copy(self), self.points.copy())

    def scaled(self, ratio: float) -> Poses:
        """Return them for the same frame at another size."""
        points = self.points * np.array([ratio, ratio, 1], np.float32)  # (N, K, 3)
        return Poses.of(Detections.scaled(self, ratio), points)
