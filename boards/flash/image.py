"""An image of an operating system: its size and its boot partition, unpacked on the way."""

from __future__ import annotations

import hashlib
import lzma
import struct
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

SECTOR = 512
CHUNK = 4 << 20
XZ, XZ_END = b"\xfd7zXZ\0", b"YZ"
PACKED = {b"PK\x03\x04": "zip", b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"BZh": "bz2"}
LUKS = b"LUKS\xba\xbe"
FAT_KINDS = {0x04, 0x06, 0x0B, 0x0C, 0x0E}
GPT = 0xEE
CHOOSE = "choose one of Raspberry Pi OS (64-bit)"


@dataclass(frozen=True, slots=True)
class Source:
    """A file that holds an image, plain or packed by xz.

    Attributes:
        path: Of the file.
        is_packed: By xz.
        size: Of the image, unpacked, in bytes.
    """

    path: Path
    is_packed: bool
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the image's bytes in order.

        Raises:
            BoardError: The file is damaged or ends too soon.
        """
        try:
            with lzma.open(self.path) if self.is_packed else self.path.open("rb") as file:
                while data := file.read(CHUNK):
                    yield data
        except (lzma.LZMAError, EOFError) as error:
            raise BoardError(f"{self.path}: the .xz is damaged ({error}); load it again") from error

    @contextmanager
    def head(self, size: int) -> Iterator[BinaryIO]:
        """Give at least the first `size` bytes as a file to read and to seek in."""
        if not self.is_packed:
            with self.path.open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as file:
            for data in self.chunks():
                file.write(data)
                if file.tell() >= size:
                    break
            yield file


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an image's first two partitions stand, in bytes; a root at 0 is none."""

    boot: int
    boot_size: int
    root: int


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            digest.update(data)
    return digest.hexdigest()


def open_image(path: Path) -> Source:
    """Return a file that holds an image.

    Raises:
        BoardError: It is packed otherwise, truncated, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(6)
            if start == XZ:
                return Source(path, is_packed=True, size=_unpacked_bytes(file, path))
            size = file.seek(0, 2)
    except OSError as error:
        raise BoardError(f"{path}: expected an image file, found: {error.strerror}") from error
    for magic, name in PACKED.items():
        if start.startswith(magic):
            raise BoardError(f"{path}: expected an .img or .img.xz, found a .{name}; unpack it")
    return Source(path, is_packed=False, size=size)


def layout(source: Source) -> Layout:
    """Return where the partitions are.

    Raises:
        BoardError: It is no image of an operating system for a card, or it is encrypted.
    """
    with source.head(SECTOR) as file:
        file.seek(0)
        head = file.read(SECTOR)
    if len(head) < SECTOR or head[510:] != b"\x55\xaa":
        raise BoardError(
            f"{source.path}: expected an image of a card, found no partition table; {CHOOSE}"
        )
    table = [struct.unpack_from("<4xB3xII", head, 446 + 16 * index) for index in range(4)]
    if table[0][0] == GPT:
        raise BoardError(f"{source.path}: expected an MBR partition table, found a GPT; {CHOOSE}")
    boot = next((row for row in table if row[0] in FAT_KINDS), None)
    if boot is None:
        raise BoardError(f"{source.path}: expected a FAT boot partition, found none; {CHOOSE}")
    roots = [start for kind, start, _ in table if kind not in FAT_KINDS | {0}]
    found = Layout(boot[1] * SECTOR, boot[2] * SECTOR, roots[0] * SECTOR if roots else 0)
    end = max((start + count) * SECTOR for kind, start, count in table if kind)
    if end > source.size:
        raise BoardError(
            f"{source.path}: its partitions end at {end} bytes, but it has only {source.size}: "
            "it is truncated; load it again"
        )
    return found


def head_bytes(found: Layout) -> int:
    """Return how much of an image must be read to know it."""
    return max(found.boot + found.boot_size, found.root + SECTOR)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Say of which image it is what `BoardError`s in the block tell.

    Raises:
        BoardError: With the path before its sentence.
    """
    try:
        yield
    except BoardError as error:
        raise BoardError(f"{path}: {error}") from error


def refuse_encrypted(file: BinaryIO, found: Layout) -> None:
    """Refuse a root partition that is encrypted.

    Raises:
        BoardError: It is.
    """
    file.seek(found.root)
    if found.root and file.read(len(LUKS)) == LUKS:
        raise BoardError(
            "expected a root partition that boots by itself, found an encrypted one (LUKS); "
            "choose an image that isn't"
        )


def _unpacked_bytes(file: BinaryIO, path: Path) -> int:
    """Return the size of what an .xz holds, from the index of each of its streams.

    Source: The .xz File Format, version 1.2.1, sections 2.1.2, 2.2 and 4.
    """
    broken = BoardError(f"{path}: the .xz is truncated or damaged; load it again")
    total, end = 0, file.seek(0, 2)
    while end > 0:
        file.seek(max(end - 12, 0))
        footer = file.read(12)
        if len(footer) < 12 or footer[10:] != XZ_END:  # noqa: PLR2004 - of the footer
            raise broken
        index_size = (struct.unpack_from("<I", footer, 4)[0] + 1) * 4
        start = end - 12 - index_size
        if start < len(XZ):
            raise broken
        file.seek(start)
        packed, unpacked = _index(file.read(index_size))
        total += unpacked
        end = start - packed - 12
    if end < 0:
        raise broken
    return total


def _index(data: bytes) -> tuple[int, int]:
    """Return the packed and the unpacked size of all blocks of a stream."""
    numbers, number, shift = [], 0, 0
    for byte in data[1:-4]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(number)
            number = shift = 0
    pairs = numbers[1 : 1 + 2 * numbers[0]] if numbers else []
    return sum(-(-size // 4) * 4 for size in pairs[::2]), sum(pairs[1::2])
