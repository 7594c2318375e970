"""The section `[camera]`: where frames come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from edge.capture.options import SourceOptions
from edge.capture.registry import SOURCES, split_uri
from edge.errors import EdgeError
from edge.messages.envelope import NAME_PATTERN
from edge.record import Checks, Record, Unsound, read

if TYPE_CHECKING:
    from edge.faults import Fault

Name = Annotated[
    str,
    Meta(
        pattern=rf"^{NAME_PATTERN.pattern}\Z",
        description="1 to 64 of the characters A-Z a-z 0-9 _ -",
    ),
]
OWN_KEYS = ("name", "source")
# Its own, and those that some source has.
KEYS = tuple(
    dict.fromkeys(
        [*OWN_KEYS, *(key for row in SOURCES.values() for key in row.options.__struct_fields__)]
    )
)


def _check_uri(uri: str) -> None:
    try:
        split_uri(uri)
    except EdgeError as error:
        raise ValueError(str(error)) from error


class Camera(Record, frozen=True):
    """Where frames come from.

    Attributes:
        name: A level of every topic.
        source: `demo:`, `file:PATH`, `v4l2:DEVICE` … : a scheme of `SOURCES`, and what it takes.
        options: What is asked of the source, in its row's model.
    """

    checks: ClassVar[Checks] = {"source": _check_uri}

    name: Name = "camera"
    source: str = "demo:"
    options: SourceOptions = SourceOptions()

    def flat(self) -> dict[str, Any]:
        """Return its keys as they are written."""
        options = msgspec.to_builtins(self.options, enc_hook=str)
        return {"name": self.name, "source": self.source, **options}


def read_camera(fields: object) -> Camera:
    """Return a camera; its keys are flat: what is neither `name` nor `source` is of the source.

    Raises:
        Unsound: With every fault.
    """
    if not isinstance(fields, Mapping):
        return read(Camera, fields)
    own = {key: fields[key] for key in OWN_KEYS if key in fields}
    rest = {key: fields[key] for key in fields if key not in OWN_KEYS}
    try:
        camera = read(Camera, own)
        return camera.replace(options=read(_options(camera.source), rest))
    except Unsound as error:
        raise Unsound(_faults(own, rest)) from error


def _options(source: str) -> type[SourceOptions]:
    return SOURCES[source.partition(":")[0]].options


def _faults(own: dict[str, object], rest: dict[str, object]) -> list[Fault]:
    """Return everything that is wrong with the keys of a camera and those of its source."""
    from edge.faults import Fault  # noqa: PLC0415 - a sound camera needs none

    source, found = "demo:", []
    try:
        source = read(Camera, own).source
    except Unsound as error:
        # A source that was refused leaves its options to those that all have.
        found += error.faults
    kind = _options(source)
    text = f"{source.partition(':')[0]}: has no such key; take it out, or choose another source"
    try:
        read(kind, rest)
    except Unsound as error:
        for fault in error.faults:
            is_foreign = fault.known is not None and fault.place[0] in KEYS
            known = fault.known and KEYS
            found.append(Fault(fault.place, text) if is_foreign else replace(fault, known=known))
    return found
