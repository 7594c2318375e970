"""The message that says how a run goes, and by that whether the board is well."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from edge.messages.envelope import (
    SCHEMA_VERSION,
    DeviceOrCamera,
    Message,
    Moment,
    Version,
    utc_text,
)

TOPIC = "stats"
PERCENTILE_NAMES = ("p50", "p95", "p99")
# Of all but the milliseconds.
DECIMALS = 1

Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(ge=0, description="Of a second, over the window.")]
Ms = Annotated[float, Meta(ge=0)]


class CameraStats(TypedDict):
    """What became of the frames of one camera."""

    captured_hz: Rate
    invoked_hz: Rate
    published_hz: Rate
    dropped_frames: Annotated[int, Meta(ge=0, description="Replaced unseen since the start.")]


class StageStats(TypedDict):
    """How long a stage took, milliseconds, of the last 4,096 frames that had it."""

    p50: Ms
    p95: Ms
    p99: Ms


class OutboxStats(TypedDict):
    """Messages for the broker, since the start."""

    waiting: Count
    dropped: Count
    delivered: Count


class StatsPayload(TypedDict):
    """How the run of one device goes."""

    schema_version: Version
    device: DeviceOrCamera
    sent_at: Moment
    uptime_s: Annotated[float, Meta(ge=0, description="Of this run.")]
    window_s: Annotated[float, Meta(ge=0, description="That the rates are of.")]
    cameras: Annotated[dict[str, CameraStats], Meta(description="By name.")]
    stage_ms: Annotated[
        dict[str, StageStats], Meta(description="By stage, and `age`: from capture to result.")
    ]
    outbox: OutboxStats | None
    rss_mib: Annotated[float, Meta(ge=0, description="Resident memory.")] | None
    cpu_percent: Annotated[float, Meta(ge=0, description="Over the window; 100 is one core.")]
    temperature_c: Annotated[float, Meta(description="Of the hottest sensor.")] | None
    throttled: Annotated[bool, Meta(description="The board holds itself back now.")] | None
    throttle_flags: Annotated[list[str], Meta(description="What it says, now and since boot.")]


def message(device: str, fields: dict[str, Any], *, utc_ns: int) -> Message:
    """Return the message of what `StatsPayload` has besides its envelope."""
    envelope = {"schema_version": SCHEMA_VERSION, "device": device, "sent_at": utc_text(utc_ns)}
    data = msgspec.json.encode({**envelope, **fields})
    return Message(f"edge/{device}/{TOPIC}", data, retain=True, policy="state")
