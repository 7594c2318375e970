"""The source `picamera:`: the camera of a Raspberry Pi, through picamera2 or `rpicam-vid`.

The camera's own scaler makes the small frames that the model sees (stream `lores`); the large ones
(`main`) stay where they are until somebody wants a picture. Both are copied out of the driver's
memory before anything is computed from them: that memory is not cached.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import threading
import time
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.picamera_setup import US_PER_S, configured, reason
from edge.capture.picture import Picture, pixel_shape
from edge.capture.rpicam import RpicamSource, check_rpicam, program
from edge.capture.source import STALL_S, differences, enter, leave, log_once, recent_ns
from edge.errors import DependencyError, SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.options import PicameraOptions
    from edge.capture.picture import PixelFormat

POLL_S = 0.2
# picamera2 waits for ever for a camera that has died under it.
CLOSE_WAIT_S = 2.0
# What importing it raises: where it is missing, is of another Python, or was compiled for another
# NumPy than the one that OpenCV needs.
BROKEN = ImportError, ValueError, AttributeError, RuntimeError
INSTALL = (
    "it: sudo apt install python3-picamera2, and make the virtual environment of the system's "
    "Python with --system-site-packages; or for rpicam-vid: sudo apt install rpicam-apps"
)

logger = logging.getLogger(__name__)


def open_picamera(location: str, options: PicameraOptions) -> PicameraSource | RpicamSource:
    """Open a camera, `0` without a number, in the way that the options name or that there is.

    Raises:
        SourceError: There is no such camera, or it may not or cannot be used.
        DependencyError: There is nothing to read it with.
    """
    number = camera_number(location)
    if options.via != "rpicam-vid" and _has_bindings(options):
        return PicameraSource(number, options)
    return RpicamSource(number, options)


def check_picamera(location: str, options: PicameraOptions) -> None:
    """Refuse what stands after `picamera:` and is no number, and what nothing here could give."""
    camera_number(location)
    if options.via == "rpicam-vid":
        check_rpicam(options)
    elif all(importlib.util.find_spec(name) for name in ("libcamera", "picamera2")):
        return
    if options.via == "picamera2" or not program():
        raise _missing(options, "not installed")
    check_rpicam(options)


def camera_number(location: str) -> int:
    """Return which camera is meant: `picamera:` is the first.

    Raises:
        SourceError: It is no number.
    """
    if location.isascii() and location.isdigit():
        return int(location)
    if location:
        raise SourceError(
            f"picamera:{location} names no camera; write picamera: for the first, picamera:1 for "
            "the second"
        )
    return 0


def _has_bindings(options: PicameraOptions) -> bool:
    """Return whether picamera2 can be had; `rpicam-vid` is to do where not, which the log says."""
    try:
        import libcamera  # type: ignore[import-not-found]  # noqa: F401, PLC0415
        import picamera2  # type: ignore[import-not-found]  # noqa: F401, PLC0415 - of a Pi's Python
    except BROKEN as error:
        if options.via or not program():
            raise _missing(options, str(error)) from error
        said = "picamera: is read through %s, as this Python cannot import picamera2 (%s)"
        log_once(logging.WARNING, said, program(), str(error))
        return False
    return True


def _missing(options: PicameraOptions, why: str) -> DependencyError:
    wanted = options.via or "picamera2 and libcamera's bindings, or rpicam-vid"
    return DependencyError(f"picamera: expected {wanted}, found none ({why}); install {INSTALL}")


class PicameraSource:
    """A camera through picamera2: always live.

    Args:
        number: Of the camera.
        options: What to ask for; what the camera gives otherwise is logged.

    Raises:
        SourceError: There is no such camera, it is in use, or it cannot give what was asked for.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, number: int, options: PicameraOptions) -> None:
        from picamera2 import Picamera2  # noqa: PLC0415

        self._name, self._options = f"picamera:{number}", options
        self._interrupted = threading.Event()
        self.interrupt = self._interrupted.set
        self._job: Any = None
        self._request: Any = None
        self._is_first = True
        self._patience_s = STALL_S
        self._pixels: dict[str, NDArray[np.uint8]] = {}
        try:
            self._camera = Picamera2(number)
        except (RuntimeError, IndexError) as error:  # IndexError: before picamera2 0.3.19
            raise SourceError(
                f"{self._name}: expected a camera that is free, found none ({reason(error)}); "
                "list them: rpicam-hello --list-cameras"
            ) from error
        try:
            self._formats = configured(self._camera, options, name=self._name)
        except BaseException:
            self.close()
            raise

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:  # noqa: ARG002 - its own
        """Return the next frame, of the model's size; its `larger` is the whole one."""
        if not self._take_request():
            return None
        began_ns = time.monotonic_ns()
        metadata = self._request.get_metadata()
        if self._is_first:
            self._is_first = False
            self._tell_rate(metadata)
        stream = tuple(self._formats)[-1]
        picture = Picture.taken(
            self._copied(stream),
            began_ns,
            pixel_format=self._formats[stream],
            captured_ns=sensor_ns(metadata),
        )
        return picture if len(self._formats) == 1 else replace(picture, larger=self._whole)

    def close(self) -> None:
        """Stop the camera and let go of it; a second call does nothing."""
        self._interrupted.set()
        thread = threading.Thread(target=self._close, name="edge-picamera-close", daemon=True)
        thread.start()
        thread.join(CLOSE_WAIT_S)
        if thread.is_alive():
            logger.warning("%s: the camera does not let go, and is left behind", self._name)

    def _close(self) -> None:
        self._camera.cancel_all_and_flush()
        with contextlib.suppress(RuntimeError):  # of a camera that is gone already
            self._release()
        self._camera.close()

    def _tell_rate(self, metadata: dict[str, Any]) -> None:
        if duration_us := metadata.get("FrameDuration"):
            rate_hz = US_PER_S / duration_us
            options = self._options.replace(size_wh=None)  # which was told
            for difference in differences(options, size_wh=(0, 0), rate_hz=rate_hz):
                log_once(logging.WARNING, "%s: %s", self._name, difference)

    def _take_request(self) -> bool:
        """Wait for the next frame's buffers; False when interrupted meanwhile.

        Raises:
            SourceError: None came in time.
        """
        give_up_s = time.monotonic() + self._patience_s
        try:
            self._release()
            while not self._interrupted.is_set():
                self._job = self._job or self._camera.capture_request(wait=False)
                with contextlib.suppress(NotYet):
                    self._request = self._camera.wait(self._job, timeout=POLL_S)
                    self._job = None
                    return True
                if time.monotonic() > give_up_s:
                    raise SourceError(
                        f"{self._name}: the camera gave no frame for {self._patience_s:g} s; "
                        "check its cable and dmesg"
                    )
        except RuntimeError as error:
            raise SourceError(
                f"{self._name}: the camera stopped giving frames ({reason(error)}); check its "
                "cable and dmesg"
            ) from error
        return False

    def _release(self) -> None:
        """Give the buffers back to the camera."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _whole(self) -> Picture:
        """Return the large frame of the same moment; before the next `read` only."""
        return Picture.taken(
            self._copied("main"), time.monotonic_ns(), pixel_format=self._formats["main"]
        )

    def _copied(self, stream: str) -> NDArray[np.uint8]:
        """Copy a stream's pixels out of the driver's memory, into a buffer that is made once."""
        from picamera2 import MappedArray  # noqa: PLC0415

        kind, size_wh = self._formats[stream], tuple(self._request.config[stream]["size"])
        if stream not in self._pixels:
            self._pixels[stream] = np.empty(pixel_shape(kind, size_wh), np.uint8)
        with MappedArray(self._request, stream, write=False) as mapped:
            copy_pixels(mapped.array, kind, out=self._pixels[stream])
        return self._pixels[stream]


def copy_pixels(rows: NDArray[np.uint8], kind: PixelFormat, *, out: NDArray[np.uint8]) -> None:
    """Copy an image of the driver, whose rows may be padded.

    Args:
        rows: As picamera2 shapes them: `(H, stride / 2, 2)` for YUYV, `(H, W, 3)` for B G R, else
            `(H * 3 / 2, stride)`. The chroma rows of I420 lie half a stride apart.
        kind: Its format.
        out: As `Picture.pixels`.
    """
    width = out.shape[1]
    if kind != "i420":
        np.copyto(out, rows[:, :width])
        return
    height = len(rows) * 2 // 3
    out[:height] = rows[:height, :width]
    chroma = rows[height:].reshape(2, height // 2, -1)  # (U V, H / 2, stride / 2)
    out[height:].reshape(2, height // 2, width // 2)[:] = chroma[..., : width // 2]


def sensor_ns(metadata: dict[str, Any]) -> int | None:
    """Return when the sensor saw a frame, monotonic clock; `None` where the driver does not say.

    Source: libcamera, control_ids_core.yaml: SensorTimestamp is of CLOCK_BOOTTIME, which goes on
    while the machine sleeps.
    """
    stamp_ns = metadata.get("SensorTimestamp")
    if not stamp_ns:
        return None
    now_ns = time.monotonic_ns()
    slept_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now_ns
    return recent_ns(stamp_ns - slept_ns, now_ns)
