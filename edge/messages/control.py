"""The messages that say what holds, and what became of a command; other modules make them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

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


class _Why(TypedDict, total=False):
    reason: Annotated[str, Meta(description="Of safe mode, in words.")]
    failed_starts: Annotated[int, Meta(ge=0)]
    retry_in_s: Annotated[float, Meta(ge=0, description="Until it starts again by itself.")]


class ModePayload(_Why):
    """Whether a service is at its work."""

    schema_version: Version
    device: DeviceOrCamera
    mode: Literal["normal", "safe"]


class InstallPayload(TypedDict):
    """Which release runs, which one waits, and how the last update or the first boot went."""

    schema_version: Version
    device: DeviceOrCamera
    installed_version: str
    latest_version: Annotated[
        str, Meta(description="Of the newest bundle in the folder `update`; else as installed.")
    ]
    available: Annotated[str, Meta(description="What the command `update` takes for it.")] | None
    in_progress: bool
    update_percentage: Annotated[int, Meta(description="Of a download.")] | None
    state: (
        Annotated[
            str,
            Meta(description="working, watching, done, failed, rolled back, unwell, interrupted."),
        ]
        | None
    )
    message: Annotated[str, Meta(description="A sentence: what is done, or how it ended.")] | None
    at_utc_s: int | None
    first_boot: Annotated[str, Meta(description="How that went.")] | None


class UpdatePayload(TypedDict):
    """Which model runs and which one waits, as Home Assistant reads it."""

    installed_version: str
    latest_version: str
    in_progress: bool
    update_percentage: int | None
