"""What every frame source is, and what sources are made of: a pace, and OpenCV's video capture."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import cv2

from edge.capture.picture import Picture
from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

NS_PER_S = 1_000_000_000
# Source: FFmpeg, libavutil/log.h, AV_LOG_QUIET.
FFMPEG_LOG_QUIET = "-8"
# Source: OpenCV, core/utils/logger.defines.hpp, LOG_LEVEL_SILENT.
OPENCV_LOG_SILENT = 0
# How long the first wait for a camera may hold its thread, where no interrupt is seen. OpenCV's
# own 10 s are more than a program that stops waits for its threads.
V4L_START_S = 1
START_POLL_S = 0.1
# A live source that gives nothing for so long has failed: it is closed and opened anew.
STALL_S = 5.0
CLOSE_WAIT_S = 1.0
RATE_TOLERANCE_HZ = 0.5
# A driver's time that is older, or ahead, is of another clock than the monotonic one.
MAX_AGE_NS = 2 * NS_PER_S

# A folder is opened to be checked and again to be read, a camera after each outage: what is to be
# said of them is said once.
log_once = lru_cache(maxsize=1000)(logging.getLogger(__name__).log)


class Source(AbstractContextManager["Source"], Protocol):
    """Where frames come from. Read by one thread; closed by whoever opened it, using `with`."""

    @property
    def live(self) -> bool:
        """Newest frame wins (True), or every frame is waited for (False)."""

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next picture, or `None` when there are no more.

        A live source raises where none came for `STALL_S`.

        Args:
            buffer: Pixels of a picture that was given before, to be used again where they fit;
                the source may keep buffers of its own instead.

        Raises:
            SourceError: The source broke.
        """

    def interrupt(self) -> None:
        """From any thread: let a `read` that waits, and each later one, return `None`."""

    def close(self) -> None:
        """Let go of the device or file; a second call does nothing."""


SourceT = TypeVar("SourceT")


def enter(source: SourceT) -> SourceT:
    """Be the `__enter__` of a source."""
    return source


def leave(source: Source, *_: object) -> None:
    """Be the `__exit__` of a source."""
    source.close()


class Paced:
    """A source of images that only its pace holds back: of a file, or drawn.

    An image that is asked for late is due at once, and the ones after it follow a period apart:
    nothing is made up for in a burst.

    Args:
        next_image: Returns the next image, `(H, W, 3)` uint8, B G R, in the buffer that it is given
            where that fits; `None` when there are no more.
        live: As `Source.live`.
        rate_hz: Frames per second; `None` never waits.
        file_hz: Frames per second of what never waits, for its own clock; `None` has none.
        on_close: Lets go of where the images come from.
    """

    __enter__, __exit__ = enter, leave

    def __init__(
        self,
        next_image: Callable[[NDArray[np.uint8] | None], NDArray[np.uint8] | None],
        *,
        live: bool,
        rate_hz: float | None,
        file_hz: float | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.live = live
        self._next_image = next_image
        self._on_close = on_close
        self._period_ns = 0 if rate_hz is None else round(NS_PER_S / rate_hz)
        self._due_ns = time.monotonic_ns()
        self._file_ns = itertools.count(0, round(NS_PER_S / file_hz)) if file_hz else None
        self._interrupted = threading.Event()
        self.interrupt = self._interrupted.set

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next picture once it is due: `Source.read`."""
        now_ns = time.monotonic_ns()
        wait_ns = max(0, self._due_ns - now_ns) if self._period_ns else 0
        self._due_ns = max(self._due_ns, now_ns) + self._period_ns
        if self._interrupted.wait(wait_ns / NS_PER_S) if wait_ns else self._interrupted.is_set():
            return None
        began_ns = time.monotonic_ns()
        image = self._next_image(buffer)
        if image is None:
            return None
        file_ns = next(self._file_ns) if self._file_ns else None
        return Picture.taken(image, began_ns, file_ns=file_ns)

    def close(self) -> None:
        """Let go of the file: `Source.close`."""
        self._interrupted.set()
        self._on_close()


@cache
def silence_opencv() -> None:
    """Keep OpenCV and its FFmpeg off stderr, for the whole process: each fault is an error here.

    FFmpeg takes its level from the C environment when its first file is opened, and V4L2 its
    patience when its first camera is, so this goes first; `os.putenv` reaches them without showing
    in `os.environ`.
    """
    os.putenv("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_LOG_QUIET)
    os.putenv("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(V4L_START_S))
    os.putenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    # OpenCV 5 moved this function; 4 has it at the top.
    module = cv2.utils.logging if hasattr(cv2.utils, "logging") else cv2
    module.setLogLevel(OPENCV_LOG_SILENT)


class Capture:
    """Owns one `cv2.VideoCapture`. One thread reads; any thread may close.

    Args:
        name: File or device, an absolute path.
        backend: One of OpenCV's `CAP_*` backends.
        parameters: `cv2.CAP_PROP_*` to open it with, each followed by its value.

    Attributes:
        video: Its properties may be used; it may be not open.

    Raises:
        SourceError: OpenCV cannot take the name, and would end the process over it.
    """

    def __init__(self, name: str, *, backend: int, parameters: tuple[int, ...] = ()) -> None:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise SourceError(
                f"{name!r}: expected a name in UTF-8, found one with other bytes; rename the file"
            ) from error
        silence_opencv()
        self._name = name
        self._reading = threading.Lock()
        self.video = cv2.VideoCapture(name, backend, parameters)

    def size_wh(self) -> tuple[int, int]:
        """Return width and height of the frames, pixels, as they are said to be."""
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (int(self.video.get(side)) for side in sides)
        return width, height

    def start(self) -> bool:
        """Have a camera send; return whether its first frame came within `V4L_START_S`; V4L2 only.

        A camera that is gone shows in the `wait` that follows.
        """
        with contextlib.suppress(SourceError):
            return self.wait(START_POLL_S)
        return False

    def wait(self, timeout_s: float) -> bool:
        """Return whether the next frame of a camera that sends came within so long; V4L2 only.

        Raises:
            SourceError: The camera is gone.
        """
        with self._reading:
            try:
                return cv2.VideoCapture.waitAny([self.video], round(timeout_s * 1e9))[0]
            except cv2.error as error:
                raise SourceError(
                    f"{self._name}: the camera stopped giving frames; check its cable and dmesg"
                ) from error

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image, in `buffer` where its shape fits; `None` when none came."""
        with self._reading:
            found, image = self.video.read(buffer)
        return cast("NDArray[np.uint8]", image) if found else None

    def close(self) -> None:
        """Release it, unless a read hangs in the driver: releasing under that would crash."""
        if self._reading.acquire(timeout=CLOSE_WAIT_S):
            try:
                self.video.release()
            finally:
                self._reading.release()


class Turned:
    """The frames of a source, to be turned; that is done to the small image that a model sees.

    Args:
        source: Closed with this.
        rotate: Degrees clockwise: 90, 180 or 270.
    """

    __enter__, __exit__ = enter, leave

    def __init__(self, source: Source, rotate: int) -> None:
        self.live = source.live
        self.interrupt, self.close = source.interrupt, source.close
        self._source, self._rotate = source, rotate

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next frame: `Source.read`."""
        picture = self._source.read(buffer)
        if picture is None:
            return None
        return replace(picture, rotate=(picture.rotate + self._rotate) % 360)


def recent_ns(captured_ns: int, now_ns: int) -> int | None:
    """Return a driver's time of a frame, `None` where it is not of the monotonic clock."""
    return captured_ns if 0 <= now_ns - captured_ns <= MAX_AGE_NS else None


def differences(
    options: SourceOptions, *, size_wh: tuple[int, int], rate_hz: float | None = None
) -> list[str]:
    """Return one sentence for each thing that a source gives otherwise than the options ask."""
    found = []
    if options.size_wh is not None and options.size_wh != size_wh:
        asked, given = ("x".join(map(str, size)) for size in (options.size_wh, size_wh))
        found.append(f"asked for {asked}, it gives {given}")
    if options.rate_hz and rate_hz and abs(options.rate_hz - rate_hz) > RATE_TOLERANCE_HZ:
        found.append(f"asked for {options.rate_hz:g} Hz, it gives {rate_hz:g} Hz")
    return found
