"""The source `file:`: a video, an image, or a folder of images."""

from __future__ import annotations

import logging
import os
import struct
from typing import TYPE_CHECKING

import cv2

from edge.capture.image_header import check_pixels, read_size
from edge.capture.images import list_images, paced_images
from edge.capture.location import find
from edge.capture.source import Capture, Paced, differences
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

# For a video that does not say: PAL's rate, and what FFmpeg assumes of raw streams.
FALLBACK_VIDEO_RATE_HZ = 25.0
# A container's rate above this is a time base, not frames per second.
MAX_VIDEO_RATE_HZ = 1000.0
# By default FFmpeg takes every core, each with frames of its own. One thread costs 1.46 ms of CPU
# for a 720p H.264 frame against 1.73 on two, 4 MiB less, and leaves the rest to the interpreter.
DECODER = (cv2.CAP_PROP_N_THREADS, 1)

# What describes the tracks of an MP4; of an hour of video it takes a few MiB.
MAX_MOVIE_BYTES, MAX_BOXES = 2**26, 10_000
# From the type of a track's header to its matrix, for versions 0 and 1 of its times.
# Source: ISO/IEC 14496-12, 8.3.2.
MATRIX_AT = {0: 44, 1: 56}

logger = logging.getLogger(__name__)


def open_file(location: str, options: SourceOptions) -> Paced:
    """Open what lies at a path: what it is, is told by its content, never by its suffix.

    Args:
        location: A path, as `location.find` takes it.
        options: `loop`; `realtime` paces at `rate_hz`, or else at the rate that a video states (25
            Hz if none); `rate_hz` alone paces too, and no frame is dropped. Frames have the size of
            the file.

    Raises:
        SourceError: There is nothing, or nothing that can be read.
    """
    path = find("file", location)
    if path.is_dir():
        return paced_images(list_images(path), options)
    if read_size(path) is not None:
        return paced_images([path], options)
    video, live = _Video(path, loop=options.loop), bool(options.realtime)
    for difference in differences(options, size_wh=video.capture.size_wh()):
        logger.warning("%s: %s", path, difference)
    rate_hz = options.rate_hz or (video.rate_hz() if live else None)
    file_hz = None if rate_hz else video.rate_hz()
    return Paced(
        video.next_image, live=live, rate_hz=rate_hz, file_hz=file_hz, on_close=video.close
    )


class _Video:
    """The frames of one video, in order."""

    def __init__(self, path: Path, *, loop: bool) -> None:
        self._path = path
        self._loop = loop
        self._frames = 0
        self.capture = self._open()

    def next_image(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        image = self.capture.read(buffer)
        if image is None and self._frames and self._loop:
            self.capture.close()
            self.capture, self._frames = self._open(), 0
            image = self.capture.read(buffer)
        if image is None and not self._frames:
            raise SourceError(
                f"{self._path}: expected a video, found no frame that can be decoded; "
                f"try ffprobe {self._path}"
            )
        self._frames += image is not None
        return image

    def close(self) -> None:
        self.capture.close()

    def rate_hz(self) -> float:
        rate_hz = self.capture.video.get(cv2.CAP_PROP_FPS)
        if 0 < rate_hz <= MAX_VIDEO_RATE_HZ:
            return rate_hz
        logger.info("%s states no frame rate: %g Hz assumed", self._path, FALLBACK_VIDEO_RATE_HZ)
        return FALLBACK_VIDEO_RATE_HZ

    def _open(self) -> Capture:
        capture = Capture(str(self._path.resolve()), backend=cv2.CAP_FFMPEG, parameters=DECODER)
        if not capture.video.isOpened():
            raise SourceError(
                f"{self._path}: expected a video or an image (JPEG, PNG, BMP), found neither; "
                f"try ffprobe {self._path}"
            )
        check_pixels(self._path, capture.size_wh())
        if is_mirrored(self._path):
            capture.close()
            raise SourceError(
                f"{self._path}: expected a video that is turned at most, found one that is to be "
                f"shown mirrored; write it so: ffmpeg -i {self._path} upright.mp4"
            )
        return capture


def is_mirrored(path: Path) -> bool:
    """Return whether an MP4 or MOV asks to be shown mirrored, which OpenCV takes for a turn.

    Source: ISO/IEC 14496-12, 4.2 and 8.3.2: boxes of size and type; a matrix (a, b, u, c, d, v, x,
    y, w) of 32 bits each, which mirrors where its determinant is negative.
    """
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        at = 0
        for _ in range(MAX_BOXES):
            if at + 16 > end:
                break
            file.seek(at)
            size, kind, large = struct.unpack(">I4sQ", file.read(16))
            size = large if size == 1 else size or end
            if kind == b"moov":
                file.seek(at + 8)
                return _mirrors(file.read(min(size, MAX_MOVIE_BYTES)))
            if size < 8:  # noqa: PLR2004 - of a box's own header: no MP4
                break
            at += size
    return False


def _mirrors(movie: bytes) -> bool:
    """Return whether one of the tracks has such a matrix; that of audio is upright."""
    at = movie.find(b"tkhd")
    while at >= 0:
        version = int.from_bytes(movie[at + 4 : at + 5], "big")  # 0 at the end
        matrix = movie[at + MATRIX_AT.get(version, 44) :][:36]
        if len(matrix) == 36:  # noqa: PLR2004 - of nine numbers
            a, b, _, c, d, *_ = struct.unpack(">9i", matrix)
            if a * d < b * c:
                return True
        at = movie.find(b"tkhd", at + 4)
    return False
