"""The messages that say what holds, and what became of a command; `edge/control.py` makes them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from edge.messages.envelope import DeviceOrCamera, Ratio, Version  # noqa: TC001 - the schema asks


class ModelState(TypedDict):
    """Which model runs, and which other one waits."""

    name: str
    digest: Annotated[str, Meta(description="sha256: and the hex digest of the model's bytes.")]
    installed_version: str
    latest_version: Annotated[
        str, Meta(description="Of the newest one in the folder `models`; else as installed.")
    ]
    available: Annotated[str, Meta(description="What the command `model` takes for it.")] | None
    in_progress: bool


class Holding(TypedDict):
    """What holds of all that may change while it runs."""

    enabled: Annotated[bool, Meta(description="A camera or more is looked at.")]
    paused: Annotated[list[DeviceOrCamera], Meta(description="Cameras that are not.")]
    cameras: list[DeviceOrCamera]
    score_threshold: Ratio
    zones: Annotated[list[str], Meta(description="Their names.")]
    model: ModelState


class SettingsPayload(Holding):
    """What holds now, kept by the broker."""

    schema_version: Version
    device: DeviceOrCamera


class ReplyPayload(TypedDict):
    """What became of a command."""

    schema_version: Version
    device: DeviceOrCamera
    id: Annotated[str | int | None, Meta(description="The command's own.")]
    name: Annotated[str, Meta(description="Of the command.")]
    ok: Annotated[bool, Meta(description="It was done.")]
    message: Annotated[str, Meta(description="A sentence: what was done, or was expected.")]
    settings: Annotated[
        dict[str, Any], Meta(description="What holds now; empty where nobody looked.")
    ]
