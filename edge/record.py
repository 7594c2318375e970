"""What every record of a file format is made of: frozen, and strict about what it does not know.

A constructor takes its arguments as they are; what stands in a file goes through `read`, which
compares each value with the type that its field has, and names all that is wrong at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge.faults import Fault

Checks = dict[str, Callable[[Any], object]]
RecordT = TypeVar("RecordT", bound="Record")

# Half a surrogate pair can be spelled in JSON, but in no UTF-8, and OpenCV crashes on it.
Text = Annotated[str, Meta(pattern=r"^[^\ud800-\udfff]*\Z", description="text")]
Ratio = Annotated[float, Meta(ge=0, le=1)]
PositiveInt = Annotated[int, Meta(gt=0)]
# What a value that is of another type raises; text that is none, before it is compared.
REFUSED = (msgspec.ValidationError, UnicodeEncodeError)
LARGEST = sys.float_info.max
Finite = Annotated[float, Meta(ge=-LARGEST, le=LARGEST, description="a finite number")]
PositiveFloat = Annotated[
    float, Meta(gt=0, le=LARGEST, description="a finite number greater than 0")
]


class Record(Struct, frozen=True, forbid_unknown_fields=True):
    """A frozen value that refuses unknown fields.

    Attributes:
        checks: Of a field, what its type cannot say: raises `ValueError`.
    """

    checks: ClassVar[Checks] = {}

    def __post_init__(self) -> None:
        for name, check in self.checks.items():
            check(getattr(self, name))

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401 - of any field
        """Return a copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)

    def plain(self) -> dict[str, Any]:
        """Return the fields as JSON has them: dicts, lists, texts, numbers."""
        fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, enc_hook=str))
        return fields


class Unsound(ValueError):  # noqa: N818 - as it is said
    """The fields of a record have faults; the message names them all."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def storable(text: str) -> str:
    """Return a text that a record takes: `?` for what is no text, as in the name of a file."""
    return text.encode(errors="replace").decode()


def read(kind: type[RecordT], fields: object, *, strict: bool = True) -> RecordT:
    """Return what stands in a file as a record.

    Args:
        kind: Of the record.
        fields: As TOML or JSON were read, or records in the place of tables.
        strict: Take no text for a number, as in a CSV.

    Raises:
        Unsound: With every fault.
    """
    try:
        return msgspec.convert(fields, kind, strict=strict, dec_hook=to_path)
    except REFUSED as error:
        from edge.faults import unsound  # noqa: PLC0415 - a sound file needs none of it

        raise unsound(kind, fields, strict=strict) from error


def read_json(kind: type[RecordT], data: bytes) -> RecordT:
    """Return JSON as a record.

    Raises:
        Unsound: It is no JSON, or with every fault.
    """
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=to_path)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        from edge.faults import unsound_json  # noqa: PLC0415

        raise unsound_json(kind, data) from error


def write_json(path: Path, one: Record) -> None:
    """Write a record for this user alone: after a power cut all of it is there, or what was before.

    Raises:
        OSError: It cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # A folder's name may hold bytes that are no text.
        file.write(msgspec.json.encode(one, enc_hook=lambda each: storable(str(each))))
        file.flush()
        os.fsync(descriptor)  # else an empty file could stand under the name
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def to_path(kind: type, value: object) -> object:
    """Return a path as a path: what msgspec knows of no other type."""
    if kind is Path and isinstance(value, (str, Path)):
        return Path(value)
    raise ValueError("expected a path")
