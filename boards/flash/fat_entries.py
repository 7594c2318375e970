"""The entries of a FAT folder: 32 bytes each, and more of them in front for a long name.

Source: Microsoft, "FAT32 File System Specification", version 1.03 (2000).
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_BYTES = 32
SHORT_BYTES = 11
DELETED, LAST = 0xE5, 0x00
FOLDER, LABEL, LONG = 0x10, 0x08, 0x0F
ARCHIVE = 0x20
UNITS_OF_A_PART = 13  # UTF-16 code units of a long name in one entry
MAX_NAME = 255
FORBIDDEN = frozenset('"*/:<>?\\|') | {chr(code) for code in range(32)}
SHORT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder.

    Attributes:
        name: The long one, where there is one.
        short: Its 11 bytes on the disk.
        at: Of its 32 bytes in the folder, in bytes.
        attributes: Bits, as `FOLDER`.
        first: Cluster of its contents; 0 for none.
        size: Of a file, in bytes.
    """

    name: str
    short: bytes
    at: int
    attributes: int
    first: int
    size: int

    @property
    def is_folder(self) -> bool:
        """Tell a folder from a file."""
        return bool(self.attributes & FOLDER)


@dataclass(frozen=True, slots=True)
class New:
    """What is put into a folder; its fields as an `Entry` has them."""

    name: str
    first: int
    size: int = 0
    attributes: int = ARCHIVE


def entries(folder: bytes) -> Iterator[Entry]:
    """Yield the files and folders of a folder, without itself and the one above."""
    parts: list[bytes] = []
    for at in range(0, len(folder), ENTRY_BYTES):
        raw = folder[at : at + ENTRY_BYTES]
        if raw[0] == LAST:
            return
        if raw[0] == DELETED:
            parts = []
        elif raw[11] == LONG:
            parts.insert(0, raw[1:11] + raw[14:26] + raw[28:32])
        else:
            if not raw[11] & LABEL and raw[0] != ord("."):
                yield _entry(raw, at, b"".join(parts))
            parts = []


def with_entry(folder: bytes, new: New) -> bytes:
    """Return a folder with one more entry, in its first gap that is wide enough."""
    name = new.name
    if not name.strip(". ") or len(name) > MAX_NAME or FORBIDDEN & set(name):
        raise BoardError(f"cannot write {name!r}: a FAT partition takes no file of that name")
    short = _short(name, {entry.short for entry in entries(folder)})
    added = _long(name, short) + entry_bytes(short, new.attributes, new.first, size=new.size)
    at, end = _gap(folder, len(added))
    # What stands behind the last entry is anything, until it is one.
    return (
        folder[:at]
        + added
        + (folder[at + len(added) : end] or b"").ljust(len(folder) - at - len(added), b"\0")
    )


def _entry(raw: bytes, at: int, long: bytes) -> Entry:
    high, low, size = struct.unpack_from("<H4xHI", raw, 20)
    base, end = (part.decode("cp437").rstrip() for part in (raw[:8], raw[8:11]))
    name = long.decode("utf-16-le", "replace").split("\0")[0] or base + "." * bool(end) + end
    return Entry(name, raw[:11], at, raw[11], high << 16 | low, size)


def entry_bytes(short: bytes, attributes: int, first: int, *, size: int = 0) -> bytes:
    """Return the 32 bytes of an entry, made now."""
    now = time.gmtime()
    clock = now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2
    day = (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday
    return struct.pack(
        "<11sBBBHHHHHHHI", short, attributes, 0, 0, clock, day, day,
        first >> 16, clock, day, first & 0xFFFF, size,
    )  # fmt: skip


def _short(name: str, taken: set[bytes]) -> bytes:
    """Return a name of 8 and 3 characters that is not taken, as `EDGE_V~1WHL`."""
    base, _, end = name.upper().rpartition(".") if "." in name[1:] else (name.upper(), "", "")
    clean = ["".join(c if c in SHORT else "_" for c in text) for text in (base, end)]
    whole = (clean[0].ljust(8) + clean[1].ljust(3)).encode()
    if len(whole) == SHORT_BYTES and whole not in taken:
        return whole
    for number in range(1, 10**6):
        tail = f"~{number}"
        short = (clean[0][: 8 - len(tail)] + tail).ljust(8) + clean[1][:3].ljust(3)
        if short.encode() not in taken:
            return short.encode()
    raise BoardError(f"cannot write {name!r}: its folder has a million files of such names")


def _long(name: str, short: bytes) -> bytes:
    """Return the entries that hold the long name, its end first."""
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    size = UNITS_OF_A_PART * 2
    if len(units) % size:
        units = (units + b"\0\0").ljust(-(-len(units) // size) * size, b"\xff")
    parts = [units[at : at + size] for at in range(0, len(units), size)]
    return b"".join(
        struct.pack(
            "<B10sBBB12sH4s",
            number | 0x40 * (number == len(parts)), part[:10], LONG, 0, checksum,
            part[10:22], 0, part[22:],
        )
        for number, part in reversed(list(enumerate(parts, 1)))
    )  # fmt: skip


def _gap(folder: bytes, size: int) -> tuple[int, int]:
    """Return where `size` bytes of entries fit into a folder, and where its entries end."""
    start, found, end = 0, -1, len(folder)
    for at in range(0, len(folder), ENTRY_BYTES):
        if folder[at] == LAST:
            end = at
            break
        if folder[at] != DELETED:
            start = at + ENTRY_BYTES
        elif found < 0 and at + ENTRY_BYTES - start >= size:
            found = start
    return (start if found < 0 else found), end
