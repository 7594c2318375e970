"""The section `[camera]`: where frames come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from edge.capture.options import SourceOptions
from edge.capture.registry import SOURCES, split_uri
from edge.errors import EdgeError
from edge.messages.envelope import NAME_PATTERN
from edge.record import Record, Unsound, read

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
        source: `demo:`, `file:PATH`, `images:FOLDER` or `v4l2:DEVICE`.
        options: What is asked of the source, in its row's model.
    """

    checks: ClassVar = {"source": _check_uri}

    name: Name = "camera"
    source: str = "demo:"
    options: SourceOptions = SourceOptions()

    def flat(self) -> dict[str, Any]:
        """Return its keys as they are written."""
        options = msgspec.to_builtins(self.options)
        return {"name": self.name, "source": self.source, **options}


def read_camera(fields: object) -> Camera:
    """Return a camera; its keys are flat: what is neither `name` nor `source` is of the source.

    Raises:
        Unsound: With every fault.
    """
    if not isinstance(fields, Mapping):
        return read(Camera, fields)
    from edge.faults import Fault  # noqa: PLC0415 - a sound file needs none of it

    faults: list[Fault] = []
    camera, options = Camera(), SourceOptions()
    try:
        camera = read(Camera, {key: fields[key] for key in OWN_KEYS if key in fields})
    except Unsound as error:
        faults += error.faults
    # A source that was refused leaves its options to those that all have.
    scheme = camera.source.partition(":")[0]
    kind = SOURCES[scheme].options
    foreign = [
        key for key in fields if key in KEYS and key not in (*OWN_KEYS, *kind.__struct_fields__)
    ]
    text = f"{scheme}: has no such key; take it out, or choose another source"
    faults += [Fault((key,), text) for key in foreign]
    try:
        options = read(
            kind, {key: fields[key] for key in fields if key not in (*OWN_KEYS, *foreign)}
        )
    except Unsound as error:
        faults += [
            fault if fault.known is None else Fault(fault.place, found=fault.found, known=KEYS)
            for fault in error.faults
        ]
    if faults:
        raise Unsound(faults)
    return camera.replace(options=options)
