"""One frame on its way to the interpreter: when it was taken, and the buffer it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BufferT = TypeVar("BufferT")


@dataclass(frozen=True, slots=True)
class Frame(Generic[BufferT]):
    """One frame of a source, prepared for its consumer.

    Attributes:
        buffer: What the frame was filled into, such as an input tensor. Borrowed: it holds until
            the consumer takes its next frame.
        size_wh: Width and height of the source's image, pixels.
        sequence: Number of the frame within the source, from 0, dropped frames counted.
        captured_ns: Monotonic clock (`time.monotonic_ns`): `Picture.captured_ns`.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
        capture_ns: Nanoseconds of work that giving it took the source; waiting not counted.
        preprocess_ns: Nanoseconds that filling the buffer took.
        camera: Name of the camera.
        picture: `(h, w, 3)` uint8, B G R, the receiver's to keep; `None` unless somebody has asked
            the capture for pictures.
    """

    buffer: BufferT
    size_wh: tuple[int, int]
    sequence: int
    captured_ns: int
    captured_utc_ns: int
    capture_ns: int
    preprocess_ns: int
    camera: str
    picture: NDArray[np.uint8] | None = None
