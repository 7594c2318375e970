"""The source `images:`, a folder of images in the order of their names; and one image file."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.image_header import size_of
from edge.capture.location import find
from edge.capture.source import Paced, log_once, silence_opencv
from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
DEFAULT_IMAGE_RATE_HZ = 1.0
# 65535 / 255: the whole 16-bit range onto the whole 8-bit one.
SIXTEEN_TO_EIGHT = 257

logger = logging.getLogger(__name__)


def open_images(location: str, options: SourceOptions) -> Paced:
    """Open a folder of images, one after the other.

    Args:
        location: Of the folder, as `location.find` takes it.
        options: As `paced_images` takes them.

    Raises:
        SourceError: There is no such folder, or no image in it.
    """
    return paced_images(list_images(find("images", location)), options)


def paced_images(paths: list[Path], options: SourceOptions) -> Paced:
    """Return a source of images, each of its own size and turned upright by its EXIF orientation.

    One of several that cannot be read is named in the log and passed over.

    Args:
        paths: Of the images, in their order; at least one.
        options: `realtime` paces at `rate_hz`, or else at 1 Hz; `rate_hz` alone paces too; `loop`.
    """
    if options.size_wh:
        logger.warning("%s: images keep their sizes; size_wh asks cameras only", paths[0])
    images = _readable(list(paths), loop=options.loop)

    def next_image(buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        image = next(images, None)
        if image is None or buffer is None or buffer.shape != image.shape:
            return image
        np.copyto(buffer, image)
        return buffer

    live = bool(options.realtime)
    rate_hz = options.rate_hz or (DEFAULT_IMAGE_RATE_HZ if live else None)
    return Paced(next_image, live=live, rate_hz=rate_hz)


def _readable(paths: list[Path], *, loop: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield the images that can be read; the others are left out for good."""
    unreadable = 0
    while True:
        for path in tuple(paths):
            try:
                yield load_image(path)
            except SourceError as error:  # noqa: PERF203 - each image fails alone
                unreadable += 1
                if len(paths) == 1:
                    last = f" (the last of {unreadable} like it)" if unreadable > 1 else ""
                    raise SourceError(f"{error}{last}") from error
                log_once(logging.WARNING, "%s; passed over, %d so far", str(error), unreadable)
                paths.remove(path)
        if not loop:
            return


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
    """Decode the contents of an image file as `load_image` does.

    OpenCV gets bytes and no name: a name that is not UTF-8 ends the process in its `imread`.
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
        others = len(shown) - len(images)
        log_once(logging.INFO, "%s: %d entries are no images, passed over", folder, others)
    return images
