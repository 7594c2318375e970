"""The source `images:`, a folder of images in the order of their names; and one image file."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.image_header import size_of
from edge.capture.location import find
from edge.capture.options import SourceOptions
from edge.capture.picture import Picture
from edge.capture.source import Pacer, enter, leave, silence_opencv
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
DEFAULT_IMAGE_RATE_HZ = 1.0
# 65535 / 255: the whole 16-bit range onto the whole 8-bit one.
SIXTEEN_TO_EIGHT = 257

logger = logging.getLogger(__name__)


def open_images(location: str, options: SourceOptions) -> ImagesSource:
    """Open a folder of images.

    Args:
        location: Of the folder, as `location.find` takes it.
        options: `loop`, `realtime` and `rate_hz`; images keep their sizes.

    Raises:
        SourceError: There is no such folder, or no image in it.
    """
    return ImagesSource(list_images(find("images", location)), options)


def check_images(location: str, options: SourceOptions) -> None:  # noqa: ARG001 - all will do
    """Refuse a folder without an image that can be decoded."""
    with open_images(location, SourceOptions()) as source:
        source.read(None)


class ImagesSource:
    """Images one after the other, each turned upright by its EXIF orientation.

    One of several that cannot be read is named in the log and passed over.

    Args:
        paths: Of the images, in their order; at least one.
        options: `realtime` paces at `rate_hz`, or else at 1 Hz; `rate_hz` alone paces too.
    """

    __enter__, __exit__ = enter, leave

    def __init__(self, paths: list[Path], options: SourceOptions) -> None:
        self.live = bool(options.realtime)
        self._paths = paths
        self._loop = options.loop
        self._next = 0
        self._unreadable = 0
        self._pacer = Pacer(options.rate_hz or (DEFAULT_IMAGE_RATE_HZ if self.live else None))
        if options.size_wh:
            logger.warning("%s: images keep their sizes; size_wh asks cameras only", paths[0])

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next image once it is due: `Source.read`."""
        if (self._next == len(self._paths) and not self._loop) or not self._pacer.wait():
            return None
        began_ns = time.monotonic_ns()
        image = self._load()
        if image is None:
            return None
        if buffer is not None and buffer.shape == image.shape:
            np.copyto(buffer, image)
            image = buffer
        return Picture.taken(image, began_ns)

    def interrupt(self) -> None:
        """End a wait for the next image: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Stop; no file stays open between two images."""
        self._pacer.interrupt()

    def _load(self) -> NDArray[np.uint8] | None:
        """Return the next image that can be read, and leave out those that cannot for good."""
        while self._next < len(self._paths) or self._loop:
            self._next %= len(self._paths)
            try:
                image = load_image(self._paths[self._next])
            except SourceError as error:
                self._pass_over(error)
            else:
                self._next += 1
                return image
        return None

    def _pass_over(self, error: SourceError) -> None:
        self._unreadable += 1
        if len(self._paths) == 1:
            if self._unreadable > 1:
                raise SourceError(f"{error} (the last of {self._unreadable} like it)") from error
            raise error
        logger.warning("%s; passed over, %d so far", error, self._unreadable)
        del self._paths[self._next]


def load_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file: turned by EXIF, grey repeated, alpha dropped, 16 bits scaled to 8.

    Returns:
        `(H, W, 3)` uint8, B G R, owned by the caller.

    Raises:
        SourceError: It cannot be read, is no whole PNG, JPEG or BMP image, claims more pixels than
            anyone needs, or holds pixels that are neither 8 nor 16 bits.
    """
    return decode_image(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """Return a file's contents.

    Raises:
        SourceError: It cannot be read, or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; give another file") from error
    if not data:
        raise SourceError(f"{path}: expected an image, found an empty file; remove or replace it")
    return data


def decode_image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode the contents of an image file; see `load_image`.

    OpenCV gets bytes and no name: a name that is not UTF-8 ends the process in its `imread`.

    Args:
        data: The file's contents.
        path: For the error.
    """
    silence_opencv()
    # The PNG and JPEG decoders print warnings on stderr themselves, so a file that is cut short
    # is found out before they see it.
    image = _decoded(data, path) if size_of(io.BytesIO(data), path) else None
    if image is None:
        raise SourceError(
            f"{path}: expected a JPEG, PNG or BMP image, found {len(data)} bytes that begin with "
            f"{data[:8]!r} and cannot be decoded; convert, remove or replace it"
        )
    if image.dtype == np.uint16:
        # Widened first: 65535 and a half step wrap around at 16 bits.
        image = (image.astype(np.uint32) + SIXTEEN_TO_EIGHT // 2) // SIXTEEN_TO_EIGHT
    elif image.dtype != np.uint8:
        raise SourceError(
            f"{path}: expected 8 or 16 bits a channel, found {image.dtype}; save it as PNG or JPEG"
        )
    return np.ascontiguousarray(image, np.uint8)


def _decoded(data: bytes, path: Path) -> NDArray[Any] | None:
    # ANYDEPTH keeps 16 bits for the explicit scaling; COLOR repeats grey, drops alpha and, unlike
    # UNCHANGED, turns the image upright by its EXIF orientation.
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        reason = str(error.err)
        raise SourceError(f"{path}: cannot be decoded: {reason}; remove or replace it") from error


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder by name; raises `SourceError` where there is none."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot be read ({error.strerror}); check it with ls -l"
        ) from error
    shown = [path for path in entries if not path.name.startswith(".")]
    images = [path for path in shown if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not images:
        raise SourceError(
            f"{folder}: expected a folder of images ({', '.join(IMAGE_SUFFIXES)}), found none in "
            f"{len(shown)} entries; name a folder that holds some"
        )
    if len(images) < len(shown):
        logger.info("%s: %d entries are no images, passed over", folder, len(shown) - len(images))
    return images
