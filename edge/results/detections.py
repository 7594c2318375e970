"""What a detector saw on one frame: parallel arrays, checked at birth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """`N` detections, by falling score.

    Attributes:
        boxes: `(N, 4)` float32, xyxy, source-frame pixels, half-open, clipped to the frame.
        scores: `(N,)` float32 in [0, 1].
        class_ids: `(N,)` int32, indices into the manifest's labels.

    The arrays may be views into a decoder's buffers; they then hold until its next frame, and
    `copy` keeps them.

    Raises:
        ValueError: The shapes do not match each other.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

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

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Detections:
        """Return zero detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))

    def copy(self) -> Detections:
        """Return the same detections in arrays of their own."""
        return Detections(self.boxes.copy(), self.scores.copy(), self.class_ids.copy())
