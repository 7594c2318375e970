"""One camera frame, and when it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source.

    Attributes:
        image: `(H, W, 3)` uint8, B G R. Owned by the source, and borrowed: it holds until the
            consumer takes its next frame.
        sequence: Number of the frame within the source, from 0, dropped frames counted.
        captured_ns: Monotonic clock (`time.monotonic_ns`) when the frame was complete.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
    """

    image: NDArray[np.uint8]
    sequence: int
    captured_ns: int
    captured_utc_ns: int
    capture_ns: int = 0

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height, pixels."""
        height, width = self.image.shape[:2]
        return width, height
