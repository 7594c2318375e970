"""The size that an image file claims, and whether all of it is there, before anything is decoded.

A file of a few kilobytes can claim a gigapixel: OpenCV's own limit is 2**30 px, which is 3 GiB of
B G R and more than a board has. A JPEG that was cut short decodes to an image that is half grey,
and its decoder does not say so to Python: its segments and scans are walked to its end marker, past
a thumbnail's, and what is appended behind it (as in motion photos) is not looked at. A PNG chunk
that claims 2 GiB has OpenCV reserve and clear them.
"""

from __future__ import annotations

import os
import re
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
JPEG_END, JPEG_SCAN = 0xD9, 0xDA
# In a scan, FF is followed by 00 or by a restart marker until the scan ends. Source: B.1.1.5.
JPEG_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
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
            return size_of(file, path)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        reason = f"cannot be read ({error.strerror})"
        raise SourceError(f"{path}: {reason}; check it with ls -l") from error


def size_of(file: BinaryIO, path: Path) -> tuple[int, int] | None:
    """Return what `read_size` does, of an open file or of bytes in memory, from the beginning."""
    start = file.read(8)
    reader = next((read for magic, read in FORMATS.items() if start.startswith(magic)), None)
    if reader is None:
        return None
    try:
        size_wh = reader(file)
    except (EOFError, struct.error) as error:
        raise SourceError(
            f"{path}: expected a whole image, found one that is cut short or damaged; copy it again"
        ) from error
    check_pixels(path, size_wh)
    return size_wh


def check_pixels(path: Path, size_wh: tuple[int, int]) -> None:
    """Refuse a size above `MAX_IMAGE_PIXELS`, which would take the memory of a board."""
    width, height = size_wh
    if width * height > MAX_IMAGE_PIXELS:
        raise SourceError(
            f"{path}: expected at most {MAX_IMAGE_PIXELS // 10**6} megapixels, its header says "
            f"{width}x{height}; scale it down first"
        )


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
    """Walk segments and scans to the end marker. Source: ITU-T T.81, B.1.1 and B.2.2."""
    file.seek(2)
    size_wh = None
    while True:
        prefix, marker = struct.unpack("BB", file.read(2))
        if prefix != JPEG_FILL:
            raise EOFError("no marker where one must be")
        if marker == JPEG_FILL:
            file.seek(-1, os.SEEK_CUR)
        if marker in JPEG_BARE_MARKERS:
            continue
        if marker == JPEG_END:
            break
        segment_at = file.tell()
        (segment_bytes,) = struct.unpack(">H", file.read(2))
        if marker in JPEG_FRAME_MARKERS and size_wh is None:
            _, height, width = struct.unpack(">BHH", file.read(5))
            size_wh = width, height
            if width * height > MAX_IMAGE_PIXELS:
                break
        file.seek(segment_at + segment_bytes)
        if marker == JPEG_SCAN:
            _skip_scan(file)
    if size_wh is None:
        raise EOFError("no frame header")
    return size_wh


def _skip_scan(file: BinaryIO) -> None:
    """Place the file at the marker behind a scan's data."""
    begin = file.tell()
    end = JPEG_SCAN_END.search(file.read())
    if end is None:
        raise EOFError("a scan that does not end")
    file.seek(begin + end.start())


# Magic bytes, and what walks the file to its end, where it has one, and returns its size.
FORMATS = {PNG_MAGIC: _png_size, b"\xff\xd8\xff": _jpeg_size, b"BM": _bmp_size}
