"""The sources `rtsp:`, `rtsps:`, `http:` and `https:`: cameras of the network."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import cv2

from edge.capture.address import fault_of, hung_up, is_there, read_address, silence
from edge.capture.aside import Aside
from edge.capture.picture import Picture
from edge.capture.source import STALL_S, differences, enter, leave, log_once, silence_opencv

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.address import Address
    from edge.capture.options import StreamOptions

__all__ = ["StreamSource", "check_stream", "is_there"]

# FFmpeg gives up an open after so long; asking the camera what was wrong takes a little longer.
OPEN_S, ASK_S = 5.0, 5.0
# A read that was not given up by the library itself.
GRACE_S = 0.5
# A frame that comes in less than this part of its period lay ready: it is an old one.
READY_RATIO = 0.25
CATCH_UP_S = 2.0
MAX_RATE_HZ = 240.0


class Reader(Protocol):
    """An open stream; used by one thread."""

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture:
        """Wait for the next picture; raises `SourceError` where there is none."""

    def close(self) -> None:
        """Hang up."""


class StreamSource:
    """A camera of the network: always live. It is connected to by the first `read`.

    Neither FFmpeg nor the look-up of a host's name can be interrupted: both run aside.

    Args:
        uri: The whole of it.
        options: The password file; what else is asked for is the camera's to set.

    Raises:
        SourceError: The URI is no such address.
        ConfigError: The password file cannot be used.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, uri: str, options: StreamOptions) -> None:
        self._address = read_address(uri, options)
        self._options = options
        self._reader: Reader | None = None
        self._aside: Aside[Picture] = Aside("edge-stream", at_end=self._hang_up)
        self.interrupt = self.close = self._aside.leave

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the camera's next frame: `Source.read`."""
        is_first = self._reader is None
        patience_s = OPEN_S + ASK_S if is_first else STALL_S + GRACE_S
        try:
            picture = self._aside.ask(partial(self._read, buffer), patience_s)
        except TimeoutError as error:
            raise silence(self._address, STALL_S) from error
        if picture is not None and is_first:
            name = str(self._address)
            log_once(logging.INFO, "%s: %dx%d", name, *picture.size_wh)
            for difference in differences(self._options, size_wh=picture.size_wh):
                log_once(logging.WARNING, "%s: %s; set it in the camera", name, difference)
        return picture

    def _read(self, buffer: NDArray[np.uint8] | None) -> Picture:
        if self._reader is None:
            self._reader = _connected(self._address)
        return self._reader.read(buffer)

    def _hang_up(self) -> None:
        if self._reader is not None:
            self._reader.close()


def check_stream(uri: str, options: StreamOptions) -> None:
    """Refuse what can be no camera of the network; raises as `read_address`."""
    read_address(uri, options)


def _connected(address: Address) -> Reader:
    """Return an open stream, of what the camera says that it sends."""
    if address.scheme in ("http", "https"):
        from edge.capture.mjpeg import connected  # noqa: PLC0415 - 3 MiB of HTTP

        if reader := connected(address):
            return reader
    return _Video(address)


class _Video:
    """A stream that FFmpeg reads: RTSP over TCP, or a video over HTTP."""

    def __init__(self, address: Address) -> None:
        silence_opencv()
        self._address = address
        milliseconds = round(OPEN_S * 1000), round(STALL_S * 1000)
        self._video = cv2.VideoCapture(
            address.secret_url,
            cv2.CAP_FFMPEG,
            [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds[0]),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds[1]),
                *(cv2.CAP_PROP_N_THREADS, 1),
            ],
        )
        if not self._video.isOpened():
            raise fault_of(address)
        if address.scheme in ("rtsp", "rtsps"):
            self._catch_up()

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture:
        self._grab()
        began_ns = time.monotonic_ns()
        found, image = self._video.retrieve(buffer)
        if not found:
            raise hung_up(self._address)
        return Picture.taken(cast("NDArray[np.uint8]", image), began_ns)

    def close(self) -> None:
        self._video.release()

    def _grab(self) -> float:
        """Wait for a frame and decode it; return how long that took, seconds."""
        began_s = time.monotonic()
        found = self._video.grab()
        took_s = time.monotonic() - began_s
        # As FFmpeg gives up, it still hands out the last frame that it had kept back.
        if took_s >= STALL_S:
            raise silence(self._address, STALL_S)
        if not found:
            raise hung_up(self._address)
        return took_s

    def _catch_up(self) -> None:
        """Pass over what came while FFmpeg found out what the stream is: a second or so of it."""
        rate_hz = self._video.get(cv2.CAP_PROP_FPS)
        period_s = 1 / rate_hz if 0 < rate_hz <= MAX_RATE_HZ else 0.0
        until_s = time.monotonic() + CATCH_UP_S
        while self._grab() < READY_RATIO * period_s and time.monotonic() < until_s:
            pass
