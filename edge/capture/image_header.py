"""The size that an image file claims, and whether all of it is there, before anything is decoded.

A file of a few kilobytes can claim a gigapixel: OpenCV's own limit is 2**30 px, which is 3 GiB of
B G R and more than a board has. A JPEG that was cut short decodes to an image that is half grey. A
PNG chunk that claims 2 GiB has OpenCV reserve and clear them.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_IMAGE_PIXELS = 64_000_000
# Source: ITU-T T.81, table B.1: SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC).
JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers that no length follows: a fill byte, TEM and RST0..RST7.
JPEG_FILL = 0xFF
JPEG_BARE_MARKERS = frozenset({JPEG_FILL, 0x01, *range(0xD0, 0xD8)})
# Some cameras and editors append data of their own behind the end marker.
TAIL_BYTES = 64 * 1024
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
PNG_CHECKSUM_BYTES = 4
# Encoders cut the pixels into chunks of 8 KiB or more: enough for `MAX_IMAGE_PIXELS` of 16 bits.
MAX_PNG_CHUNKS = 2**17


def read_size(path: Path) -> tuple[int, int] | None:
    """Return width and height, pixels, that a PNG, JPEG or BMP file claims; `None` for other files.

    Raises:
        SourceError: The file cannot be read, is cut short, or claims more than `MAX_IMAGE_PIXELS`.
    """
    try:
        with path.open("rb") as file:
            size_wh = _read_header(file)
    except (EOFError, struct.error) as error:
        raise SourceError(
            f"{path}: expected a whole image, found one that is cut short or damaged; copy it again"
        ) from error
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise SourceError(f"{path}: {reason}; check it with ls -l") from error
    if size_wh is not None:
        check_pixels(path, size_wh)
    return size_wh


def check_pixels(path: Path, size_wh: tuple[int, int]) -> None:
    """Refuse a size that would take the memory of a board.

    Raises:
        SourceError: It is above `MAX_IMAGE_PIXELS`.
    """
    width, height = size_wh
    if width * height > MAX_IMAGE_PIXELS:
        raise SourceError(
            f"{path}: expected at most {MAX_IMAGE_PIXELS // 10**6} megapixels, its header says "
            f"{width}x{height}; scale it down first"
        )


def _read_header(file: BinaryIO) -> tuple[int, int] | None:
    start = file.read(8)
    for magic, (read, end) in FORMATS.items():
        if start.startswith(magic):
            size_wh = read(file)
            _check_end(file, end)
            return size_wh
    return None


def _png_size(file: BinaryIO) -> tuple[int, int]:
    """Source: PNG specification, 11.2.1: IHDR comes first, big-endian."""
    file.seek(16)
    width, height = struct.unpack(">II", file.read(8))
    for _ in png_chunks(file):
        pass
    return width, height


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield kind and bytes of each chunk of a PNG, the file placed at the chunk's body.

    Raises:
        EOFError: A chunk claims more than the file has, none ends it, or there are too many.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    at = len(PNG_MAGIC)
    for _ in range(MAX_PNG_CHUNKS):
        file.seek(at)
        start = file.read(8)
        at += len(start)
        length, kind = struct.unpack(">I4s", start)
        if at + length + PNG_CHECKSUM_BYTES > file_bytes:
            raise EOFError(f"a chunk claims {length} bytes")
        yield kind, length
        if kind == b"IEND":
            return
        at += length + PNG_CHECKSUM_BYTES
    raise EOFError("too many chunks")


def _bmp_size(file: BinaryIO) -> tuple[int, int]:
    """Source: BITMAPCOREHEADER (12 bytes, 16-bit sizes), BITMAPINFOHEADER (32-bit, signed)."""
    file.seek(14)
    (header_bytes,) = struct.unpack("<I", file.read(4))
    if header_bytes == struct.calcsize("<IHHHH"):
        width, height = struct.unpack("<HH", file.read(4))
    else:
        width, height = struct.unpack("<ii", file.read(8))
    return abs(width), abs(height)


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """Walk the segments up to the frame header. Source: ITU-T T.81, B.1.1 and B.2.2."""
    file.seek(2)
    while True:
        prefix, marker = struct.unpack("BB", file.read(2))
        if prefix != JPEG_FILL:
            raise EOFError("no frame header before the image data")
        if marker == JPEG_FILL:
            file.seek(-1, os.SEEK_CUR)
        if marker in JPEG_BARE_MARKERS:
            continue
        (segment_bytes,) = struct.unpack(">H", file.read(2))
        if marker in JPEG_FRAME_MARKERS:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        file.seek(segment_bytes - 2, os.SEEK_CUR)


def _check_end(file: BinaryIO, end: bytes) -> None:
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, file_bytes - TAIL_BYTES))
    if end not in file.read():
        raise EOFError("no end marker")


# Magic bytes: how to read the size, and the marker that ends a whole file, where one does.
FORMATS = {
    PNG_MAGIC: (_png_size, b""),
    b"\xff\xd8\xff": (_jpeg_size, b"\xff\xd9"),
    b"BM": (_bmp_size, b""),
}
