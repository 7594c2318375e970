"""The source `v4l2:`: a camera of the Linux video subsystem, through OpenCV."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge.capture.picture import Picture
from edge.capture.source import STALL_S, Capture, differences, enter, leave, log_once, recent_ns
from edge.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.options import V4l2Options
    from edge.capture.picture import PixelFormat

# Source: Linux Documentation/admin-guide/devices.txt, character device 81 "video4linux".
VIDEO4LINUX_MAJOR = 81
# USB 2 carries raw YUYV at 30 Hz up to about this size; above it a camera falls to a few frames a
# second unless it compresses.
MAX_RAW_SIZE_WH = (640, 480)
# The driver fills one while the other is decoded; with one alone it would have nowhere to put the
# frame that arrives meanwhile.
BUFFERS = 2
# Some cameras take seconds to their first frame; and how soon a wait sees an interrupt.
START_S, POLL_S = 10.0, 0.2
# FourCC of what is taken as the camera sends it: its name here, its rows for H, its bytes a pixel.
RAW: dict[str, tuple[PixelFormat, float, int]] = {
    "YUYV": ("yuyv", 1, 2),
    "NV12": ("nv12", 1.5, 1),
    "GREY": ("grey", 1, 1),
}
FOURCC = {"mjpg": "MJPG"} | {name: fourcc for fourcc, (name, _, _) in RAW.items()}

logger = logging.getLogger(__name__)


class V4l2Source:
    """A camera: always live, two frames buffered in the driver.

    Frames that the camera sends as YUYV, NV12 or grey are given as they are; others are decoded to
    B G R. Waiting for the very first holds `read` for a second, whatever interrupts it.

    Args:
        location: A device path, or its number.
        options: Size, rate and format to ask for. The camera may grant others: that is logged.

    Raises:
        SourceError: There is no such camera, or it may not or cannot be used.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, location: str, options: V4l2Options) -> None:
        self._path = device_path(location)
        check_device(self._path)
        self._interrupted = self._is_started = False
        self._capture = Capture(str(self._path), backend=cv2.CAP_V4L2)
        if not self._capture.video.isOpened():
            self._capture.close()
            raise SourceError(
                f"{self._path}: expected a camera that gives frames, found one that is in use or "
                f"gives none; see who uses it: fuser -v {self._path}"
            )
        self._fourcc = self._negotiate(options)
        self._size_wh = self._capture.size_wh()
        self._raw: NDArray[np.uint8] | None = None

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the camera's next frame: `Source.read`; raw ones lie in a buffer of its own."""
        patience_s = STALL_S if self._is_started else START_S
        give_up_s = time.monotonic() + patience_s
        if not self._is_started:
            self._is_started = True
            if not self._capture.start():
                logger.warning(
                    "%s: the camera is open and gives no frame yet; it has %g s for the first",
                    *(self._path, patience_s),
                )
        while not self._interrupted and time.monotonic() < give_up_s:
            if not self._capture.wait(POLL_S):
                continue
            began_ns = time.monotonic_ns()
            # A frame that was damaged on the wire is left out.
            if picture := self._retrieve(buffer, began_ns):
                return picture
        if self._interrupted:
            return None
        raise SourceError(
            f"{self._path}: the camera gave no frame for {patience_s:g} s; check its cable "
            "and dmesg"
        )

    def interrupt(self) -> None:
        """Give no more frames: `Source.interrupt`."""
        self._interrupted = True

    def close(self) -> None:
        """Let go of the device."""
        self._interrupted = True
        self._capture.close()

    def _retrieve(self, buffer: NDArray[np.uint8] | None, began_ns: int) -> Picture | None:
        raw = self._fourcc in RAW
        image = self._capture.read(self._raw if raw else buffer)
        if image is None or not image.size:
            return None
        pixels: NDArray[np.uint8] | None = image
        if raw:
            self._raw = image
            pixels = raw_pixels(image, self._fourcc, size_wh=self._size_wh)
        if pixels is None:
            return None
        # The driver's time of the buffer, as OpenCV hands it on.
        driver_ns = round(self._capture.video.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        captured_ns = recent_ns(driver_ns, time.monotonic_ns())
        pixel_format: PixelFormat = RAW[self._fourcc][0] if raw else "bgr"
        return Picture.taken(pixels, began_ns, pixel_format=pixel_format, captured_ns=captured_ns)

    def _negotiate(self, options: V4l2Options) -> str:
        """Ask for what is wanted, log what is given, and return the FourCC of the frames."""
        for prop, value in requested(options):
            self._capture.video.set(prop, value)
        fourcc = (
            int(self._capture.video.get(cv2.CAP_PROP_FOURCC))
            .to_bytes(4, "little")
            .decode("latin-1")
        )
        if fourcc in RAW:
            self._capture.video.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        width, height = self._capture.size_wh()
        rate_hz = self._capture.video.get(cv2.CAP_PROP_FPS)
        said = "%s: %dx%d at %g Hz, %s"
        log_once(logging.INFO, said, str(self._path), width, height, rate_hz, fourcc)
        found = differences(options, size_wh=(width, height), rate_hz=rate_hz)
        if options.format and fourcc != FOURCC[options.format]:
            found.append(f"asked for {options.format}, it gives {fourcc}")
        for difference in found:
            log_once(logging.WARNING, "%s: %s", str(self._path), difference)
        return fourcc


def check_v4l2(location: str, options: V4l2Options) -> None:  # noqa: ARG001 - cameras are asked
    """Refuse a location that can be no camera; one that is not there may be plugged in yet."""
    path = device_path(location)
    try:
        status = path.stat()
    except (OSError, ValueError):
        return
    _check_kind(path, status)


def is_there(location: str, options: V4l2Options) -> bool:  # noqa: ARG001 - as all have it
    """Return whether the device is there, which a camera that was unplugged has not."""
    return device_path(location).exists()


def device_path(location: str) -> Path:
    """Return the device that a location means: `0` is `/dev/video0`, a path is itself.

    Raises:
        SourceError: It is neither.
    """
    if location.isascii() and location.isdigit():
        return Path(f"/dev/video{int(location)}")
    if location.startswith("/") and "\0" not in location:
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
    _check_kind(path, status)


def _check_kind(path: Path, status: os.stat_result) -> None:
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


def requested(options: V4l2Options) -> list[tuple[int, float]]:
    """Return the OpenCV properties to ask for, in the order in which drivers want them."""
    wanted: list[tuple[int, float]] = []
    width, height = options.size_wh or (0, 0)
    is_large = width > MAX_RAW_SIZE_WH[0] or height > MAX_RAW_SIZE_WH[1]
    if options.format or is_large:
        fourcc = FOURCC[options.format or "mjpg"]
        wanted.append((cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc)))
    if options.size_wh is not None:
        wanted += [(cv2.CAP_PROP_FRAME_WIDTH, width), (cv2.CAP_PROP_FRAME_HEIGHT, height)]
    if options.rate_hz is not None:
        wanted.append((cv2.CAP_PROP_FPS, options.rate_hz))
    return [*wanted, (cv2.CAP_PROP_BUFFERSIZE, BUFFERS)]


def raw_pixels(
    image: NDArray[np.uint8], fourcc: str, *, size_wh: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Return a view of a raw frame, as `Picture.pixels` is; `None` when some of it is missing.

    Args:
        image: The bytes of the frame, in any shape: OpenCV 4 and 5 give different ones.
        fourcc: Of `RAW`.
        size_wh: Of the frame, pixels.
    """
    _, rows_ratio, pixel_bytes = RAW[fourcc]
    width, height = size_wh
    rows, row_bytes = int(height * rows_ratio), width * pixel_bytes
    if image.size < rows * row_bytes:
        return None
    # Where a driver pads its rows, all of them are longer; else more bytes follow the last.
    stride = image.size // rows if image.size % rows == 0 else row_bytes
    lines = image.reshape(-1)[: rows * stride].reshape(rows, stride)[:, :row_bytes]
    return lines.reshape(rows, width, 2) if pixel_bytes == 2 else lines  # noqa: PLR2004 - Y U Y V
