"""The source `file:`: a video, an image, or a folder of images."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import cv2

from edge.capture.image_header import check_pixels, read_size
from edge.capture.images import ImagesSource, list_images
from edge.capture.location import find
from edge.capture.options import SourceOptions
from edge.capture.picture import Picture
from edge.capture.source import Capture, Pacer, differences, enter, leave
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.source import Source

# For a video that does not say: PAL's rate, and what FFmpeg assumes of raw streams.
FALLBACK_VIDEO_RATE_HZ = 25.0
# A container's rate above this is a time base, not frames per second.
MAX_VIDEO_RATE_HZ = 1000.0
# By default FFmpeg takes every core, each with frames of its own. One thread costs 1.46 ms of CPU
# for a 720p H.264 frame against 1.73 on two, 4 MiB less, and leaves the rest to the interpreter.
DECODER = (cv2.CAP_PROP_N_THREADS, 1)

logger = logging.getLogger(__name__)


def open_file(location: str, options: SourceOptions) -> Source:
    """Open what lies at a path: what it is, is told by its content, never by its suffix.

    Args:
        location: A path, as `location.find` takes it.
        options: `loop`, `realtime` and `rate_hz`; frames have the size of the file.

    Raises:
        SourceError: There is nothing, or nothing that can be read.
    """
    path = find("file", location)
    if path.is_dir():
        return ImagesSource(list_images(path), options)
    if read_size(path) is not None:
        return ImagesSource([path], options)
    return VideoSource(path, options)


def check_file(location: str, options: SourceOptions) -> None:  # noqa: ARG001 - all will do
    """Refuse a file without a frame that can be decoded."""
    with open_file(location, SourceOptions()) as source:
        source.read(None)


class VideoSource:
    """The frames of one video, in order.

    Args:
        path: Of the video.
        options: `realtime` paces at `rate_hz`, or else at the rate the file states (25 Hz if none);
            `rate_hz` alone paces too, and no frame is dropped.
    """

    __enter__, __exit__ = enter, leave

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.live = bool(options.realtime)
        self._path = path
        self._loop = options.loop
        self._capture = self._open()
        self._frames = 0
        self._pacer = Pacer(options.rate_hz or (self._rate_hz() if self.live else None))
        for difference in differences(options, size_wh=self._capture.size_wh()):
            logger.warning("%s: %s", path, difference)

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next frame once it is due: `Source.read`."""
        if not self._pacer.wait():
            return None
        began_ns = time.monotonic_ns()
        image = self._capture.read(buffer)
        if image is None and self._frames and self._loop:
            self._capture.close()
            self._capture, self._frames = self._open(), 0
            image = self._capture.read(buffer)
        if image is None and not self._frames:
            raise SourceError(
                f"{self._path}: expected a video, found no frame that can be decoded; "
                f"try ffprobe {self._path}"
            )
        self._frames += image is not None
        return None if image is None else Picture.taken(image, began_ns)

    def interrupt(self) -> None:
        """End a wait for the next frame: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._pacer.interrupt()
        self._capture.close()

    def _open(self) -> Capture:
        capture = Capture(str(self._path.resolve()), backend=cv2.CAP_FFMPEG, parameters=DECODER)
        if not capture.is_open():
            raise SourceError(
                f"{self._path}: expected a video or an image (JPEG, PNG, BMP), found neither; "
                f"try ffprobe {self._path}"
            )
        check_pixels(self._path, capture.size_wh())
        return capture

    def _rate_hz(self) -> float:
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        if 0 < rate_hz <= MAX_VIDEO_RATE_HZ:
            return rate_hz
        logger.info("%s states no frame rate: %g Hz assumed", self._path, FALLBACK_VIDEO_RATE_HZ)
        return FALLBACK_VIDEO_RATE_HZ
