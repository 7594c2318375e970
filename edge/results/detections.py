"""What a detector saw on one frame: parallel arrays, checked at birth."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detection:
    """One detection, in numbers of its own.

    Attributes:
        box: x1, y1, x2, y2 in source-frame pixels, half-open.
        score: In [0, 1].
        class_id: Index into the description's labels.
        track_id: The same for the same object from frame to frame; `None` where nobody tracks.
        stationary: It rests; `None` where nobody tracks.
    """

    box: tuple[float, float, float, float]
    score: float
    class_id: int
    track_id: int | None = None
    stationary: bool | None = None


@dataclass(frozen=True, slots=True)
class Detections:
    """`N` detections, by falling score.

    Attributes:
        boxes: `(N, 4)` float32, xyxy, source-frame pixels, half-open, clipped to the frame.
        scores: `(N,)` float32 in [0, 1].
        class_ids: `(N,)` int32, indices into the description's labels.
        track_ids: `(N,)` int64, the same for the same object from frame to frame; `None` where
            nobody tracks.
        cut_candidates: How many of the frame's candidates were beyond `max_candidates`.
        is_full: There were more detections than `max_detections`.
        stationary: `(N,)` bool, which of them rest; `None` where nobody tracks.

    The arrays may be views into a decoder's buffers; they then hold until its next frame, and
    `copy` keeps them.

    Raises:
        ValueError: The shapes do not match each other.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    track_ids: NDArray[np.int64] | None = None
    cut_candidates: int = 0
    is_full: bool = False
    stationary: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4):
            raise ValueError(
                f"boxes must have shape ({count}, 4) to match scores, got {self.boxes.shape}"
            )
        if self.class_ids.shape != (count,):
            raise ValueError(
                f"class_ids must have shape ({count},) to match scores, got {self.class_ids.shape}"
            )
        for name in ("track_ids", "stationary"):
            column = getattr(self, name)
            if column is not None and column.shape != (count,):
                raise ValueError(
                    f"{name} must have shape ({count},) to match scores, got {column.shape}"
                )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Detections:
        """Return some of them: those of a mask `(N,)`, a slice (a view), or row numbers `(M,)`."""
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            self.class_ids[rows],
            None if self.track_ids is None else self.track_ids[rows],
            self.cut_candidates,
            self.is_full,
            None if self.stationary is None else self.stationary[rows],
        )

    def __iter__(self) -> Iterator[Detection]:
        """Give each in turn; for people and for few, since a row is made of Python's numbers."""
        columns = [
            [None] * len(self) if column is None else column.tolist()
            for column in (
                *(self.boxes, self.scores, self.class_ids),
                *(self.track_ids, self.stationary),
            )
        ]
        for box, *others in zip(*columns, strict=True):
            yield Detection(tuple(box), *others)

    @classmethod
    def none(cls) -> Detections:
        """Return zero detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))

    def columns(self) -> dict[str, Any]:
        """Return the fields of detections, by name: also of what is more than that."""
        return {each.name: getattr(self, each.name) for each in fields(Detections)}

    def copy(self) -> Detections:
        """Return the same detections in arrays of their own."""
        return self[np.arange(len(self))]

    def scaled(self, ratio: float) -> Detections:
        """Return them for the same frame at another size."""
        return replace(self, boxes=self.boxes * np.float32(ratio))


class DetectionTally:
    """Counts the detections of a run, called `noun`, and the frames of which a limit cut some."""

    def __init__(self, noun: str = "detections") -> None:
        self.detections = self.full = self.cut = 0
        self._noun = noun

    def add(self, result: Detections) -> None:
        """Count those of one frame."""
        self.detections += len(result)
        self.full += result.is_full
        self.cut += result.cut_candidates > 0

    def text(self) -> str:
        """Return the count in words."""
        counts = {"max_detections": self.full, "max_candidates": self.cut}
        limits = [
            f", in {count} of the frames {key} left some out"
            for key, count in counts.items()
            if count
        ]
        return f"{self.detections} {self._noun}{''.join(limits)}"


def pairwise_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `(N, M)`, the IoU of boxes xyxy `(N, 4)` and `(M, 4)`; 0 of boxes without area."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.maximum(high - low, 0).prod(axis=2)
    areas = [np.maximum(box[:, 2:] - box[:, :2], 0).prod(axis=1) for box in (first, second)]
    union = areas[0][:, None] + areas[1][None] - overlap
    return np.asarray(overlap / np.maximum(union, 1e-9), np.float32)
