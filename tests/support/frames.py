"""Sources and buffers that obey the capture protocols, small enough to see through."""

from __future__ import annotations

import threading
import time

import numpy as np

from edge.capture.latest import Turns
from edge.capture.picture import Picture


class CountingSource:
    """Obeys `Source`: image k is filled with k, up to `count` of them, one for each permit."""

    def __init__(self, *, count: int, live: bool, permits: int | None = None) -> None:
        self.live = live
        self.reads = 0
        self.asked = 0
        self._count = count
        self._permits = threading.Semaphore(permits) if permits is not None else None
        self._interrupted = False

    def permit(self, count: int) -> None:
        """Let the next `count` reads return."""
        self._permits.release(count)

    def read(self, buffer):
        self.asked += 1
        if self._permits is not None:
            self._permits.acquire()
        if self._interrupted or self.reads == self._count:
            return None
        began_ns = time.monotonic_ns()
        image = np.empty((8, 16, 3), np.uint8) if buffer is None else buffer
        for row in image:  # row by row, so that a reader of a shared buffer would see it torn
            row[:] = self.reads % 251
        self.reads += 1
        return Picture.taken(image, began_ns)

    def interrupt(self) -> None:
        self._interrupted = True
        if self._permits is not None:
            self._permits.release()

    def close(self) -> None:
        self.interrupt()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ImageBuffer:
    """Obeys `FrameBuffer`: keeps a copy of the image."""

    def __init__(self) -> None:
        self.image = np.zeros((0, 0, 3), np.uint8)

    def fill(self, picture):
        image = picture.pixels
        if self.image.shape != image.shape:
            self.image = np.empty_like(image)
        for row, source_row in zip(self.image, image, strict=True):  # so that a race would show
            row[:] = source_row


def buffers() -> tuple[ImageBuffer, ImageBuffer, ImageBuffer]:
    return ImageBuffer(), ImageBuffer(), ImageBuffer()


def take(capture, timeout_s):
    """Wait for the next frame of one capture, as the loop waits for those of all."""
    return Turns([capture]).take(timeout_s)
