"""One frame on its way to the interpreter: when it was taken, and the buffer it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

BufferT = TypeVar("BufferT")


@dataclass(frozen=True, slots=True)
class Frame(Generic[BufferT]):
    """One frame of a source, prepared for its consumer.

    Attributes:
        buffer: What the frame was filled into, such as an input tensor. Borrowed: it holds until
            the consumer takes its next frame.
        size_wh: Width and height of the source's image, pixels.
        sequence: Number of the frame within the source, from 0, dropped frames counted.
        captured_ns: Monotonic clock (`time.monotonic_ns`) when the source gave the image.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
        capture_ns: Nanoseconds that the source took to give it; a paced source's wait included.
        preprocess_ns: Nanoseconds that filling the buffer took.
    """

    buffer: BufferT
    size_wh: tuple[int, int]
    sequence: int
    captured_ns: int
    captured_utc_ns: int
    capture_ns: int
    preprocess_ns: int
