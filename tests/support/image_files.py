"""Image files as they come: damaged, of other kinds, turned, gray, deep; and a bomb."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from edge.capture.source import Source

SIXTEEN_TO_EIGHT = 257


def read_all(source: Source, *, limit: int = 100) -> list[np.ndarray]:
    """Return the images that a source gives, and close it."""
    images = []
    with source:
        while len(images) < limit and (picture := source.read(None)) is not None:
            images.append(picture.pixels)
    return images


def level(image: np.ndarray) -> int:
    """Return the number of an even image of so many times 20 levels."""
    return round(float(image.mean()) / 20)


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG file without pixels whose header claims that size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    return start + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IEND\xaeB`\x82"


def exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF segment that says how to turn it."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def noise(seed: int) -> np.ndarray:
    """Return a `(48, 64, 3)` uint8 image that looks like no other seed's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (64, 48))


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def _jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


# Name to contents, and a part of the sentence that refuses it.
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "found an empty file"),
    "text.jpg": (b"no image at all", "expected a JPEG, PNG or BMP image"),
    "cut.png": (_png(noise(90))[:300], "found one that is cut short"),
    "cut.jpg": (_jpeg(noise(91))[:300], "found one that is cut short"),
    "bomb.png": (png_claiming(60_000, 60_000), "its header says 60000x60000"),
    "bomb.bmp": (
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 60_000, -60_000) + bytes(28),
        "its header says 60000x60000",
    ),
}
# Name to contents; each is read like any other.
READ: dict[str, bytes] = {
    "gray.png": _png(noise(1)[..., 0]),
    "rgba.png": _png(np.dstack([noise(2), np.full((48, 64), 7, np.uint8)])),
    "deep.png": _png(noise(3).astype(np.uint16) * SIXTEEN_TO_EIGHT),
    "deep_gray.png": _png(noise(4)[..., 0].astype(np.uint16) * SIXTEEN_TO_EIGHT),
    "turned.jpg": exif_orientation(_jpeg(noise(5)), 6),
    "plain.bmp": cv2.imencode(".bmp", noise(6))[1].tobytes(),
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder that is made, and return it."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def refused_contents() -> dict[str, bytes]:
    """Return the contents of `REFUSED`."""
    return {name: content for name, (content, _) in REFUSED.items()}
