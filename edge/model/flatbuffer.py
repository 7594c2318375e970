"""A FlatBuffer read as untrusted input: every position is checked before it is read from.

Source: the FlatBuffers binary format ("FlatBuffer Internals"): a table begins with the signed
distance back to its vtable, which holds its own size, the table's, and where each field stands in
the table (0: absent); a vector begins with its count; all is little-endian.
"""

from __future__ import annotations

import struct

# Of what is looked at: numbers of vectors, letters, and tables, which take longer. The shipped
# model takes 200,000, its check 4 ms. Parts that share their bytes could make a small file endless.
MAX_STEPS = 2_000_000
TABLE_STEPS = 20
MAX_FIELDS = 32  # that are looked at; the longest table of TensorFlow Lite has 17
OFFSET_BYTES = 4
VTABLE_HEAD_BYTES = 4
INT32, UINT32, HEAD = struct.Struct("<i"), struct.Struct("<I"), struct.Struct("<HH")
ITEM_BYTES = {"i": 4, "q": 8}
# Where a table stands, and how far from there each of its fields does; 0: the field is absent.
Table = tuple[int, tuple[int, ...]]


class DamagedError(Exception):
    """The bytes are not a FlatBuffer of this schema; the text says what is wrong, as a clause."""


class FlatBuffer:
    """Checked reads of bytes, which are borrowed and not copied.

    Every method raises `DamagedError` or `struct.error` for what would lie outside the file.

    Args:
        data: The file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._last = len(data) - OFFSET_BYTES
        self._steps = 0
        self._vtables: dict[int, tuple[int, tuple[int, ...]]] = {}

    def root(self) -> Table:
        """Return the table that the file begins with."""
        return self._table(self._follow(0))

    def scalar(self, table: Table, number: int, layout: struct.Struct) -> int:
        """Return an integer field of this layout; 0 where it is absent."""
        at, fields = table
        place = fields[number]
        return int(layout.unpack_from(self.data, at + place)[0]) if place else 0

    def child(self, table: Table, number: int) -> Table | None:
        """Return the table that a field points to; `None` where it is absent."""
        at, fields = table
        place = fields[number]
        return self._table(self._follow(at + place)) if place else None

    def children(self, table: Table, number: int) -> list[Table]:
        """Return the tables of a vector; none where it is absent."""
        start, count = self.vector(table, number, OFFSET_BYTES)
        if not count:
            return []
        end = start + count * OFFSET_BYTES
        return [self._table(self._follow(at)) for at in range(start, end, OFFSET_BYTES)]

    def vector(self, table: Table, number: int, item_bytes: int) -> tuple[int, int]:
        """Return where a vector's items begin and how many there are; 0 where it is absent."""
        at, fields = table
        place = fields[number]
        if not place:
            return 0, 0
        at = self._follow(at + place)
        count: int = UINT32.unpack_from(self.data, at)[0]
        start = at + OFFSET_BYTES
        if start + count * item_bytes > len(self.data):
            raise DamagedError(f"a vector of {count} items reaches past the file's end")
        return start, count

    def numbers(self, table: Table, number: int, code: str) -> tuple[int, ...]:
        """Return a vector's items; `code` is that of `struct`: i or q."""
        start, count = self.vector(table, number, ITEM_BYTES[code])
        if not count:
            return ()
        self.spend(count)
        return struct.unpack_from(f"<{count}{code}", self.data, start)

    def text(self, table: Table, number: int) -> str:
        """Return a string; the empty one where it is absent."""
        start, count = self.vector(table, number, 1)
        if not start:
            return ""
        self.spend(count)
        end = start + count
        # C reads it up to the zero behind it.
        if self.data[end : end + 1] != b"\0":
            raise DamagedError("a string has no end")
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError as error:
            raise DamagedError("a string is not UTF-8") from error

    def spend(self, steps: int) -> None:
        """Count what was looked at, so that no file takes for ever."""
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise DamagedError(f"it has over {MAX_STEPS} parts")

    def _follow(self, at: int) -> int:
        """Return where the offset that stands here points to: aligned, with room for a count."""
        distance: int = UINT32.unpack_from(self.data, at)[0]
        target = at + distance
        if distance < OFFSET_BYTES or target > self._last or target % OFFSET_BYTES:
            raise DamagedError(f"an offset points to byte {target} of {len(self.data)}")
        return target

    def _table(self, at: int) -> Table:
        self.spend(TABLE_STEPS)
        data = self.data
        vtable = at - INT32.unpack_from(data, at)[0]
        known = self._vtables.get(vtable)
        if known is None:
            known = self._vtables[vtable] = self._vtable(vtable)
        size_bytes, fields = known
        if at + size_bytes > len(data):
            raise DamagedError("a table reaches past the file's end")
        return at, fields

    def _vtable(self, at: int) -> tuple[int, tuple[int, ...]]:
        """Return the size of the tables that a vtable describes, and the places of their fields."""
        if not 0 <= at <= self._last or at % 2:
            raise DamagedError(f"a table's description stands at byte {at} of {len(self.data)}")
        own_bytes, size_bytes = HEAD.unpack_from(self.data, at)
        if own_bytes < VTABLE_HEAD_BYTES or own_bytes % 2 or size_bytes < OFFSET_BYTES:
            raise DamagedError(f"a table's description has {own_bytes} bytes, for {size_bytes}")
        count = (own_bytes - VTABLE_HEAD_BYTES) // 2
        self.spend(count)
        fields = struct.unpack_from(f"<{count}H", self.data, at + VTABLE_HEAD_BYTES)
        if any(0 < place < OFFSET_BYTES or place >= size_bytes for place in fields):
            raise DamagedError("a table's fields do not lie in it")
        return size_bytes, (*fields, *[0] * (MAX_FIELDS - count))
