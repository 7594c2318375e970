"""The files of a FAT16 or FAT32 partition, read and written in place without mounting it.

Own code, as no kept library does it: pyfatfs 1.1.0 (2024) stands on `fs` 2.4.16 (2022), which
imports pkg_resources, and setuptools has that no more since version 82. mtools is not on every
workstation. Held against `fsck.fat` and mtools by the tests.

Source: Microsoft, "FAT32 File System Specification", version 1.03 (2000).
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import TYPE_CHECKING

from boards.flash.fat_entries import ENTRY_BYTES, FOLDER, New, entries, entry_bytes, with_entry
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from boards.flash.fat_entries import Entry

FIRST = 2  # cluster, of those that hold anything
# A FAT16 has less clusters than this, a FAT12 less than that.
FAT16_CLUSTERS, FAT12_CLUSTERS = 65525, 4085
# Of a table in memory: a boot partition of 512 MiB has 1 MiB.
MAX_TABLE_BYTES = 64 << 20


class Fat:
    """The files of one partition; names are compared without case, as FAT does.

    Attributes:
        cluster_bytes: What a file's contents are counted in.
    """

    def __init__(self, disk: BinaryIO, offset: int) -> None:
        """Read the partition's tables.

        Args:
            disk: Borrowed; open to read, and to write where `write` is called.
            offset: Of the partition, in bytes.
        """
        self._disk, self._offset = disk, offset
        head = self._read(0, 512)
        if head[510:512] != b"\x55\xaa":
            raise BoardError("expected a FAT boot partition, found no boot sector in its place")
        sector, per_cluster, reserved, tables, roots = struct.unpack_from("<HBHBH", head, 11)
        total, small, large_total = struct.unpack_from("<HxHxxxxxxxxI", head, 19)
        large, root = struct.unpack_from("<I4xI", head, 36)
        self._root: int = root
        self._is_32 = small == 0
        sectors = small or large
        if sector not in (512, 1024, 2048, 4096) or not per_cluster or not tables or not sectors:
            raise BoardError("expected a FAT boot partition, found a boot sector of another kind")
        self.cluster_bytes: int = sector * per_cluster
        self._tables = [(reserved + sectors * index) * sector for index in range(tables)]
        self._root_at = (reserved + sectors * tables) * sector
        self._root_bytes = roots * ENTRY_BYTES
        self._data_at: int = self._root_at + -(-self._root_bytes // sector) * sector
        self._info_at = struct.unpack_from("<H", head, 48)[0] * sector if self._is_32 else 0
        count = ((total or large_total) * sector - self._data_at) // self.cluster_bytes
        if not self._is_32 and not FAT12_CLUSTERS <= count < FAT16_CLUSTERS:
            raise BoardError(
                f"expected a FAT16 or FAT32 boot partition, found a FAT of {count} clusters"
            )
        self._table = self._load(min(sectors * sector, MAX_TABLE_BYTES))
        self._end = min(count + 2, len(self._table))
        self._next = 2

    def names(self, folder: str = "") -> list[str]:
        """Return the names in a folder; none if there is no such folder."""
        return [entry.name for entry in self._entries(self._walk(folder))]

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def read(self, path: str) -> bytes:
        """Return the contents of a file."""
        entry = self._find(path)
        if entry is None or entry.is_folder:
            raise BoardError(f"the boot partition has no file {path}")
        return self._contents(entry.first)[: entry.size]

    @property
    def free_bytes(self) -> int:
        """Room for contents, in bytes."""
        return self._free() * self.cluster_bytes

    def needed_bytes(self, size: int) -> int:
        """Return how much room a file of `size` bytes takes, with that for its name."""
        return -(-size // self.cluster_bytes) * self.cluster_bytes + 8 * ENTRY_BYTES

    def _free(self) -> int:
        return sum(1 for entry in self._table[FIRST : self._end] if entry == 0)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, and the folders above it; one of that name gets new contents."""
        folder, _, name = path.rpartition("/")
        found = self._find(path)
        clusters = self._store(data)
        first = clusters[0] if clusters else 0
        if found is None:
            self._add(self._make(folder), New(name, first, size=len(data)))
        elif found.is_folder:
            raise BoardError(f"cannot write {path}: the boot partition has a folder of that name")
        else:
            self._release(found.first)
            self._patch(self._walk(folder), found, first, size=len(data))

    def flush(self) -> None:
        """Write the tables: only then what was written can be found."""
        table = array(self._table.typecode, self._table)
        if sys.byteorder == "big":
            table.byteswap()
        for at in self._tables:
            self._write(at, table.tobytes())
        if self._info_at and self._read(self._info_at, 4) == b"RRaA":
            self._write(self._info_at + 488, struct.pack("<II", self._free(), self._next))
        self._disk.flush()

    # Clusters

    def _load(self, size: int) -> array[int]:
        table = array("I" if self._is_32 else "H", self._read(self._tables[0], size))
        if sys.byteorder == "big":
            table.byteswap()
        return table

    def _chain(self, first: int) -> Iterator[int]:
        """Yield the clusters of a file, in order."""
        cluster, seen = first & 0x0FFFFFFF, 0
        while FIRST <= cluster < self._end:
            yield cluster
            cluster = self._table[cluster] & 0x0FFFFFFF
            seen += 1
            if seen > self._end:
                raise BoardError("the boot partition's file allocation table runs in a circle")

    def _contents(self, first: int) -> bytes:
        return b"".join(
            self._read(self._place(start), count * self.cluster_bytes)
            for start, count in _runs(list(self._chain(first)))
        )

    def _place(self, cluster: int) -> int:
        return self._data_at + (cluster - 2) * self.cluster_bytes

    def _store(self, data: bytes) -> list[int]:
        """Write contents to free clusters and return those."""
        clusters = self._take(-(-len(data) // self.cluster_bytes))
        done = 0
        for start, count in _runs(clusters):
            part = data[done : done + count * self.cluster_bytes]
            self._write(self._place(start), part.ljust(count * self.cluster_bytes, b"\0"))
            done += len(part)
        return clusters

    def _take(self, count: int) -> list[int]:
        """Chain free clusters to one another and return them."""
        taken: list[int] = []
        for cluster in (*range(self._next, self._end), *range(2, self._next)):
            if len(taken) == count:
                break
            if self._table[cluster] == 0:
                taken.append(cluster)
        if len(taken) < count:
            missing = (count - len(taken)) * self.cluster_bytes
            raise BoardError(f"the boot partition is full: {missing / 2**20:.1f} MiB are missing")
        end = 0x0FFFFFFF if self._is_32 else 0xFFFF
        for cluster, following in zip(taken, [*taken[1:], end], strict=False):
            self._table[cluster] = following
        if taken:
            self._next = taken[-1] + 1 if taken[-1] + 1 < self._end else 2
        return taken

    def _release(self, first: int) -> None:
        for cluster in list(self._chain(first)):
            self._table[cluster] = 0

    # Folders: each is named by its first cluster, the root of either kind by 0.

    def _folder(self, first: int) -> bytes:
        if first == 0 and not self._is_32:
            return self._read(self._root_at, self._root_bytes)
        return self._contents(first or self._root)

    def _put_folder(self, first: int, data: bytes) -> None:
        """Write a folder's entries, and give it the clusters that it lacks."""
        if first == 0 and not self._is_32:
            if len(data) > self._root_bytes:
                raise BoardError("the root folder of the boot partition is full")
            self._write(self._root_at, data)
            return
        clusters = list(self._chain(first or self._root))
        more = self._take(-(-len(data) // self.cluster_bytes) - len(clusters))
        if more:
            self._table[clusters[-1]] = more[0]
        data = data.ljust((len(clusters) + len(more)) * self.cluster_bytes, b"\0")
        for index, cluster in enumerate([*clusters, *more]):
            at = index * self.cluster_bytes
            self._write(self._place(cluster), data[at : at + self.cluster_bytes])

    def _entries(self, first: int | None) -> list[Entry]:
        return [] if first is None else list(entries(self._folder(first)))

    def _find(self, path: str) -> Entry | None:
        folder, _, name = path.rpartition("/")
        return self._in(self._walk(folder), name)

    def _in(self, first: int | None, name: str) -> Entry | None:
        wanted = name.casefold()
        return next((one for one in self._entries(first) if one.name.casefold() == wanted), None)

    def _walk(self, folder: str) -> int | None:
        first: int | None = 0
        for name in filter(None, folder.split("/")):
            found = self._in(first, name)
            first = found.first if found and found.is_folder else None
        return first

    def _make(self, folder: str) -> int:
        """Return the folder of this path, which is made where it is missing."""
        first = 0
        for name in filter(None, folder.split("/")):
            found = self._in(first, name)
            if found and not found.is_folder:
                raise BoardError(
                    f"cannot make {folder}: the boot partition has a file of that name"
                )
            first = found.first if found else self._new_folder(first, name)
        return first

    def _new_folder(self, above: int, name: str) -> int:
        first = self._take(1)[0]
        dots = entry_bytes(b".".ljust(11), FOLDER, first) + entry_bytes(
            b"..".ljust(11), FOLDER, above
        )
        self._write(self._place(first), dots.ljust(self.cluster_bytes, b"\0"))
        self._add(above, New(name, first, attributes=FOLDER))
        return first

    def _add(self, folder: int, new: New) -> None:
        self._put_folder(folder, with_entry(self._folder(folder), new))

    def _patch(self, folder: int | None, entry: Entry, first: int, *, size: int) -> None:
        """Give an entry other contents."""
        data = bytearray(self._folder(folder or 0))
        data[entry.at : entry.at + ENTRY_BYTES] = entry_bytes(
            entry.short, entry.attributes, first, size=size
        )
        self._put_folder(folder or 0, bytes(data))

    # The disk

    def _read(self, at: int, size: int) -> bytes:
        self._disk.seek(self._offset + at)
        data = self._disk.read(size)
        if len(data) < size:
            raise BoardError("the image ends before its boot partition does; it is truncated")
        return data

    def _write(self, at: int, data: bytes) -> None:
        put(self._disk, self._offset + at, data)


def put(disk: BinaryIO, at: int, data: bytes) -> None:
    """Write all of it: a card takes less than it was given where it ends."""
    disk.seek(at)
    view = memoryview(data)
    while view:
        view = view[disk.write(view) :]


def _runs(clusters: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the number of clusters that follow one another."""
    at = 0
    for index in range(1, len(clusters) + 1):
        if index == len(clusters) or clusters[index] != clusters[index - 1] + 1:
            yield clusters[at], index - at
            at = index
