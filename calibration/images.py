"""Read one image file as the board would see it: 8-bit, B G R, upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.image_header import read_size
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# 65535 / 255: the whole 16-bit range onto the whole 8-bit one.
SIXTEEN_TO_EIGHT = 257


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file: turned by EXIF, gray repeated, alpha dropped, 16 bits scaled to 8.

    Returns:
        `(H, W, 3)` uint8, B G R, owned by the caller.

    Raises:
        SourceError: The file cannot be read, is no PNG, JPEG or BMP image, claims more pixels than
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
    """Decode the contents of an image file; see `read_image`.

    Args:
        data: The file's contents.
        path: The file, whose header is looked at once more before anything is decoded.
    """
    if read_size(path) is None:
        raise SourceError(
            f"{path}: expected a PNG, JPEG or BMP image, found {len(data)} bytes that begin with "
            f"{data[:8]!r}; convert, remove or replace it"
        )
    # ANYDEPTH keeps 16 bits for the explicit scaling below; COLOR repeats gray, drops alpha and,
    # unlike UNCHANGED, turns the image upright by its EXIF orientation.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        reason = str(error.err)
        raise SourceError(f"{path}: cannot be decoded: {reason}; remove or replace it") from error
    if image is None:
        raise SourceError(
            f"{path}: expected an image, found {len(data)} bytes that OpenCV cannot decode; "
            "remove or replace it"
        )
    if image.dtype == np.uint16:
        # Widened first: 65535 and a half step wrap around at 16 bits.
        image = (image.astype(np.uint32) + SIXTEEN_TO_EIGHT // 2) // SIXTEEN_TO_EIGHT
    elif image.dtype != np.uint8:
        raise SourceError(
            f"{path}: expected 8 or 16 bits a channel, found {image.dtype}; save it as PNG or JPEG"
        )
    return np.ascontiguousarray(image, np.uint8)
