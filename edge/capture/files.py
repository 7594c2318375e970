"""The source `file:`: a video, an image, or a folder of images."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from edge.capture.image_header import check_pixels, read_size
from edge.capture.opencv import Capture, silence_opencv
from edge.capture.pacing import Pacer
from edge.errors import SourceError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.source import Source, SourceOptions

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
DEFAULT_IMAGE_RATE_HZ = 1.0
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
        location: A path as it is, or what follows `file:` in a URL of the form `file:///abs/path`.
        options: Frames have the size of the file; they are paced only if `realtime`.

    Raises:
        SourceError: There is nothing, or nothing that can be read.
    """
    path = _path(location)
    if options.size_wh is not None:
        raise SourceError(f"file:{location} keeps its own frame size; leave the frame size out")
    try:
        entries = sorted(path.iterdir()) if path.is_dir() else None
        exists = path.exists()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); check it with ls -l"
        ) from error
    if entries is not None:
        return ImagesSource(_images(path, entries), options)
    if not exists:
        raise SourceError(
            f"{path}: expected a video, an image or a folder of images, found nothing; "
            "check the path with ls"
        )
    if read_size(path) is not None:
        return ImagesSource([path], options)
    return VideoSource(path, options)


class VideoSource:
    """The frames of one video, in order.

    Args:
        path: Of the video.
        options: `realtime` paces at `rate_hz`, or else at the rate the file states (25 Hz if none).
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.live = bool(options.realtime)
        self._path = path
        self._loop = options.loop
        self._capture = self._open()
        self._frames = 0
        rate_hz = options.rate_hz or self._rate_hz()
        self._pacer = Pacer(rate_hz if self.live else None)

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next frame once it is due: `Source.read`."""
        if not self._pacer.wait():
            return None
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
        return image

    def interrupt(self) -> None:
        """End a wait for the next frame: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Close the file."""
        self._pacer.interrupt()
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

    def _open(self) -> Capture:
        capture = Capture(str(self._path.resolve()), backend=cv2.CAP_FFMPEG, parameters=DECODER)
        if not capture.is_open():
            raise SourceError(
                f"{self._path}: expected a video or an image (JPEG, PNG, BMP), found neither; "
                f"try ffprobe {self._path}"
            )
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        check_pixels(self._path, (width, height))
        return capture

    def _rate_hz(self) -> float:
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        if 0 < rate_hz <= MAX_VIDEO_RATE_HZ:
            return rate_hz
        logger.info("%s states no frame rate: %g Hz assumed", self._path, FALLBACK_VIDEO_RATE_HZ)
        return FALLBACK_VIDEO_RATE_HZ


class ImagesSource:
    """Images one after the other, each turned upright by its EXIF orientation.

    Args:
        paths: Of the images, in their order; at least one.
        options: `realtime` paces at `rate_hz`, or else at 1 Hz.
    """

    def __init__(self, paths: list[Path], options: SourceOptions) -> None:
        silence_opencv()
        self.live = bool(options.realtime)
        self._paths = paths
        self._loop = options.loop
        self._next = 0
        self._pacer = Pacer((options.rate_hz or DEFAULT_IMAGE_RATE_HZ) if self.live else None)

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image once it is due: `Source.read`."""
        if self._next == len(self._paths):
            if not self._loop:
                return None
            self._next = 0
        if not self._pacer.wait():
            return None
        image = load_image(self._paths[self._next])
        self._next += 1
        if buffer is None or buffer.shape != image.shape:
            return image
        np.copyto(buffer, image)
        return buffer

    def interrupt(self) -> None:
        """End a wait for the next image: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Stop; no file stays open between two images."""
        self._pacer.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load_image(path: Path) -> NDArray[np.uint8]:
    """Decode one JPEG, PNG or BMP file, upright.

    Returns:
        `(H, W, 3)` uint8, B G R, new.

    Raises:
        SourceError: It is missing, cut short, damaged, too large, or of another kind.
    """
    # The PNG and JPEG decoders print warnings on stderr themselves, so a file that is cut short
    # is found out before they see it.
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if read_size(path) is not None else None
    if image is None:
        raise SourceError(
            f"{path}: expected a JPEG, PNG or BMP image, found none that can be decoded; "
            "convert it again, or take it out of the folder"
        )
    return cast("NDArray[np.uint8]", image)


def _path(location: str) -> Path:
    if not location:
        raise SourceError("file: needs a path after its colon; write file:PATH")
    if not location.startswith("//"):
        return Path(location).expanduser()
    url = urlsplit(f"file:{location}")
    if url.netloc not in ("", "localhost"):
        raise SourceError(
            f"file:{location} names the host {url.netloc!r}, but files are read here only; "
            f"write file:///{url.netloc}{url.path} or file:PATH"
        )
    return Path(unquote(url.path))


def _images(folder: Path, entries: list[Path]) -> list[Path]:
    shown = [path for path in entries if not path.name.startswith(".")]
    images = [path for path in shown if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise SourceError(
            f"{folder}: expected a folder of images ({', '.join(IMAGE_SUFFIXES)}), found none in "
            f"{len(shown)} entries; name a folder that holds some"
        )
    if len(images) < len(shown):
        logger.info("%s: %d entries are no images, passed over", folder, len(shown) - len(images))
    return images
