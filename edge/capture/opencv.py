"""OpenCV's video capture, made quiet and safe to close while another thread reads."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, cast

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Source: FFmpeg, libavutil/log.h, AV_LOG_QUIET.
FFMPEG_LOG_QUIET = "-8"
# Source: OpenCV, core/utils/logger.defines.hpp, LOG_LEVEL_SILENT.
OPENCV_LOG_SILENT = 0
CLOSE_WAIT_S = 1.0


def silence_opencv() -> None:
    """Keep OpenCV and its FFmpeg off stderr, for the whole process: each fault is an error here.

    FFmpeg takes its level from the C environment when its first file is opened, so this goes first;
    `os.putenv` reaches it without showing in `os.environ`.
    """
    os.putenv("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_LOG_QUIET)
    # OpenCV 5 moved this function; 4 has it at the top.
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2
    module.setLogLevel(OPENCV_LOG_SILENT)


class Capture:
    """Owns one `cv2.VideoCapture`. One thread reads; any thread may close.

    Args:
        name: File or device, an absolute path.
        backend: One of OpenCV's `CAP_*` backends.
        parameters: `cv2.CAP_PROP_*` to open it with, each followed by its value.
    """

    def __init__(self, name: str, *, backend: int, parameters: tuple[int, ...] = ()) -> None:
        silence_opencv()
        self._reading = threading.Lock()
        self._capture = cv2.VideoCapture(name, backend, parameters)

    def is_open(self) -> bool:
        """Whether there is something to read from."""
        return self._capture.isOpened()

    def get(self, prop: int) -> float:
        """Return one `cv2.CAP_PROP_*`; 0 where it is not known."""
        return self._capture.get(prop)

    def set(self, prop: int, value: float) -> None:
        """Ask for one `cv2.CAP_PROP_*`; only `get` tells what was granted."""
        self._capture.set(prop, value)

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image, in `buffer` where its shape fits; `None` when none came."""
        with self._reading:
            found, image = self._capture.read(buffer)
        return cast("NDArray[np.uint8]", image) if found else None

    def close(self) -> None:
        """Release it, unless a read hangs in the driver: releasing under that would crash."""
        if self._reading.acquire(timeout=CLOSE_WAIT_S):
            try:
                self._capture.release()
            finally:
                self._reading.release()
