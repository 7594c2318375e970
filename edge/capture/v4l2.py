"""The source `v4l2:`: a camera of the Linux video subsystem, through OpenCV."""

from __future__ import annotations

import errno
import logging
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge.capture.opencv import Capture
from edge.errors import SourceError

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.source import SourceOptions

# Source: Linux Documentation/admin-guide/devices.txt, character device 81 "video4linux".
VIDEO4LINUX_MAJOR = 81
# USB 2 carries raw YUYV at 30 Hz up to about this size; above it a camera falls to a few frames a
# second unless it compresses.
MAX_RAW_SIZE_WH = (640, 480)
RATE_TOLERANCE_HZ = 0.5

logger = logging.getLogger(__name__)


class V4l2Source:
    """A camera: always live, one frame buffered in the driver.

    A camera that goes silent holds `read` for the 10 s that OpenCV waits; nothing interrupts that.

    Args:
        location: A device path, or its number.
        options: Size and rate to ask for. The camera may grant others: that is logged, not refused.

    Raises:
        SourceError: There is no such camera, or it may not or cannot be used.
    """

    live = True

    def __init__(self, location: str, options: SourceOptions) -> None:
        self._path = device_path(location)
        if options.realtime is False or options.loop:
            raise SourceError(
                f"v4l2:{location} is a camera: it is always live and has no end to loop at; "
                "leave out loop, and realtime = false"
            )
        check_device(self._path)
        self._interrupted = False
        self._capture = Capture(str(self._path), backend=cv2.CAP_V4L2)
        if not self._capture.is_open():
            self._capture.close()
            raise SourceError(
                f"{self._path}: expected a camera that gives frames, found one that is in use or "
                f"gives none; see who uses it: fuser -v {self._path}"
            )
        self._negotiate(options)

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the camera's next frame: `Source.read`."""
        if self._interrupted:
            return None
        image = self._capture.read(buffer)
        if image is None and not self._interrupted:
            raise SourceError(
                f"{self._path}: the camera stopped giving frames; check its cable and dmesg"
            )
        return image

    def interrupt(self) -> None:
        """Give no more frames: `Source.interrupt`."""
        self._interrupted = True

    def close(self) -> None:
        """Let go of the device."""
        self._interrupted = True
        self._capture.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _negotiate(self, options: SourceOptions) -> None:
        for prop, value in requested(options):
            self._capture.set(prop, value)
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        logger.info("%s: %dx%d at %g Hz", self._path, width, height, rate_hz)
        for difference in differences(options, size_wh=(width, height), rate_hz=rate_hz):
            logger.warning("%s: %s", self._path, difference)


def device_path(location: str) -> Path:
    """Return the device that a location means: `0` is `/dev/video0`, a path is itself.

    Raises:
        SourceError: It is neither.
    """
    if location.isascii() and location.isdigit():
        return Path(f"/dev/video{int(location)}")
    if location.startswith("/"):
        return Path(location)
    raise SourceError(
        f"v4l2:{location} names no device; write v4l2:/dev/video0, or v4l2:0 for the same"
    )


def check_device(path: Path) -> None:
    """Find out by opening it why a camera could not be used, as OpenCV does not say.

    Raises:
        SourceError: It is missing, forbidden, or no camera.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"{path}: {explain(error, path)}") from error
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != VIDEO4LINUX_MAJOR:
        raise SourceError(
            f"{path}: expected a camera, found something else; list cameras: ls /dev/video*"
        )


def explain(error: OSError, path: Path) -> str:
    """Return what is wrong with a camera that cannot be opened, and what to type."""
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return "expected a camera, found none; plug it in and list cameras: ls /dev/video*"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "this user may not open it; type sudo usermod -aG video $USER, then log in again"
    if error.errno == errno.EBUSY:
        return f"another program uses the camera; see which: fuser -v {path}"
    return (
        f"expected a camera, but opening it failed ({error.strerror}); list cameras: ls /dev/video*"
    )


def requested(options: SourceOptions) -> list[tuple[int, float]]:
    """Return the OpenCV properties to ask for, in the order in which drivers want them."""
    wanted: list[tuple[int, float]] = []
    if options.size_wh is not None:
        width, height = options.size_wh
        if width > MAX_RAW_SIZE_WH[0] or height > MAX_RAW_SIZE_WH[1]:
            wanted.append((cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")))
        wanted += [(cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height)]
    if options.rate_hz is not None:
        wanted.append((cv2.CAP_PROP_FPS, options.rate_hz))
    return [*wanted, (cv2.CAP_PROP_BUFFERSIZE, 1)]


def differences(options: SourceOptions, *, size_wh: tuple[int, int], rate_hz: float) -> list[str]:
    """Return one sentence for each thing that the camera granted other than asked."""
    found = []
    if options.size_wh is not None and options.size_wh != size_wh:
        asked, granted = ("x".join(map(str, size)) for size in (options.size_wh, size_wh))
        found.append(f"asked for {asked}, the camera gives {granted}")
    if options.rate_hz is not None and abs(options.rate_hz - rate_hz) > RATE_TOLERANCE_HZ:
        found.append(f"asked for {options.rate_hz:g} Hz, the camera gives {rate_hz:g} Hz")
    return found
