"""Protocol Buffers' wire format, read as untrusted input: each length is held against its place.

Source: Protocol Buffers, "Encoding": a field begins with its number times 8 plus its wire type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.model.flatbuffer import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
# That are looked at. The shipped detector as ONNX has 5,000.
MAX_FIELDS = 1_000_000


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: Which.
        value: Of a number; 0 of others.
        begin: Where the field begins, its number included.
        start: Where what it holds begins.
        end: Where it ends.
    """

    number: int
    value: int
    begin: int
    start: int
    end: int


class Wire:
    """Checked reads of a message's bytes, which are borrowed and not copied.

    Args:
        data: All of the file.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fields = 0

    def fields(self, start: int = 0, end: int | None = None) -> Iterator[Field]:
        """Yield the fields of the message that stands here.

        Raises:
            DamagedError: One reaches beyond it, or is of no known kind.
        """
        at, end = start, len(self.data) if end is None else end
        while at < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise DamagedError(f"it has over {MAX_FIELDS} parts")
            begin = at
            key, at = self._varint(at, end)
            number, kind, value, first = key >> 3, key & 7, 0, at
            if kind == VARINT:
                value, at = self._varint(at, end)
            elif kind == BYTES:
                length, first = self._varint(at, end)
                at = first + length
            elif kind in (FIXED_32, FIXED_64):
                at += 4 if kind == FIXED_32 else 8
            else:
                raise DamagedError(f"a field at byte {begin} has wire type {kind}")
            if at > end:
                raise DamagedError(f"a field at byte {begin} reaches past its end")
            yield Field(number, value, begin, first, at)

    def text(self, field: Field) -> str:
        """Return a string."""
        try:
            return self.data[field.start : field.end].decode()
        except UnicodeDecodeError as error:
            raise DamagedError(f"the text at byte {field.start} is not UTF-8") from error

    def numbers(self, field: Field, *, most: int) -> list[int]:
        """Return what a repeated integer holds, packed or alone; of more, one more than `most`."""
        if field.value or field.start == field.end:
            return [field.value]
        if self.data[field.begin] & 7 == VARINT:
            return [0]
        found: list[int] = []
        at = field.start
        while at < field.end and len(found) <= most:
            value, at = self._varint(at, field.end)
            found.append(value)
        return found

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        for place in range(at, min(end, at + MAX_VARINT_BYTES)):
            byte = self.data[place]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return value, place + 1
            shift += 7
        raise DamagedError(f"a number at byte {at} has no end")
