"""What happened in zones and on lines, and how many objects are where: two kinds of messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from edge.messages.detections import RatioBox
from edge.messages.envelope import (
    RATIO_DECIMALS,
    SCHEMA_VERSION,
    SCORE_DECIMALS,
    DeviceOrCamera,
    Label,
    Message,
    Moment,
    Ratio,
    Version,
    utc_text,
)
from edge.results.observation import EventKind

if TYPE_CHECKING:
    from edge.results.observation import Event, Observation

EVENTS, COUNTS = "events", "counts"
WHOLE_FRAME = "frame"
SPEED_DECIMALS = 2
# What an object did, for people.
SAID = {
    "appear": "appeared", "disappear": "disappeared", "enter": "entered", "leave": "left",
    "cross": "crossed", "dwell": "has stayed in",
}  # fmt: skip

Number = Annotated[int, Meta(ge=0)]
Kind = Annotated[EventKind, Meta(description="What happened.")]
Box = Annotated[RatioBox, Meta(description="x1, y1, x2, y2 when last seen, of the frame.")]


class EventPayload(TypedDict):
    """One thing that happened to one object."""

    schema_version: Version
    device: DeviceOrCamera
    camera: DeviceOrCamera
    event_id: Annotated[str, Meta(description="Nobody else's, of any device, camera and run.")]
    event_type: Kind
    label: Label
    track_id: Annotated[int, Meta(description="As of the detections, of this run.")]
    zone: Annotated[
        str, Meta(description="Name of the zone or line; empty of appear and disappear.")
    ]
    direction: Annotated[
        str, Meta(description="Of cross: the line's word for the way; else empty.")
    ]
    started_at: Annotated[
        Moment, Meta(description="First seen; of enter, leave, dwell: when it came into the zone.")
    ]
    ended_at: Annotated[
        Moment | None,
        Meta(description="Of leave and disappear: when it was last there; else null."),
    ]
    score: Annotated[float, Meta(ge=0, le=1, description="Best one so far, four decimals.")]
    box_ratio: Box
    path: Annotated[
        list[Annotated[list[Ratio], Meta(min_length=2, max_length=2)]],
        Meta(max_length=33, description="Where the middle of its lower side was, oldest first."),
    ]
    speed_mps: Annotated[
        float | None, Meta(description="Metres a second; null without a ground scale.")
    ]
    counts: Annotated[
        dict[str, Number],
        Meta(
            description="After this frame: objects of each label in the zone, or the frame; of "
            "cross: how many went each way since the start. A label of none may be left out."
        ),
    ]
    captured_at: Annotated[Moment, Meta(description="Of the frame on which it was certain.")]


class CountsPayload(TypedDict):
    """How many objects are in each zone of a camera."""

    schema_version: Version
    device: DeviceOrCamera
    camera: DeviceOrCamera
    counts: Annotated[
        dict[str, dict[str, Number]],
        Meta(
            description="By zone, or `frame`, and label: always those that the configuration names "
            "there, or else those that have been there. By line and word: how many went that way "
            "since the start."
        ),
    ]
    captured_at: Moment


@dataclass(frozen=True, slots=True)
class EventsTeller:
    """Tells each event, in order."""

    device: str

    def __call__(self, observation: Observation) -> list[Message]:
        """Return the frame's events; most often there are none."""
        topic = f"edge/{self.device}/{observation.camera}/{EVENTS}"
        return [
            Message(topic, msgspec.json.encode(self._payload(each, observation)), policy="event")
            for each in observation.events
        ]

    def _payload(self, event: Event, observation: Observation) -> EventPayload:
        ended_ns, counts = event.ended_utc_ns, observation.counts.get(event.zone, {})
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "camera": event.camera,
            "event_id": event.id,
            "event_type": event.kind,
            "label": event.label,
            "track_id": event.track_id,
            "zone": event.zone,
            "direction": event.direction,
            "started_at": utc_text(event.started_utc_ns),
            "ended_at": None if ended_ns is None else utc_text(ended_ns),
            "score": round(event.score, SCORE_DECIMALS),
            "box_ratio": [_ratio(side) for side in event.box],
            "path": [[_ratio(x), _ratio(y)] for x, y in event.path],
            "speed_mps": None if event.speed is None else round(event.speed, SPEED_DECIMALS),
            "counts": {
                key: number
                for key, number in counts.items()
                if number or key == event.label or event.kind == "cross"
            },
            "captured_at": utc_text(observation.captured_utc_ns),
        }


@dataclass(frozen=True, slots=True)
class CountsTeller:
    """Tells the counts of a camera whenever they change; the broker keeps the last ones."""

    device: str
    _told: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)

    def __call__(self, observation: Observation) -> tuple[Message, ...]:
        """Return the counts if they are others than the last ones.

        Those of a camera that counts no longer, since its configuration has changed, are forgotten.
        """
        camera, counts = observation.camera, observation.counts
        told = self._told.get(camera, {})
        if counts is told or counts == told:
            return ()
        self._told[camera] = counts
        payload: CountsPayload = {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "camera": camera,
            "counts": {zone or WHOLE_FRAME: of_labels for zone, of_labels in counts.items()},
            "captured_at": utc_text(observation.captured_utc_ns),
        }
        encoded = msgspec.json.encode(payload) if counts else b""
        topic = f"edge/{self.device}/{camera}/{COUNTS}"
        return (Message(topic, encoded, retain=True, policy="state"),)


def describe_event(payload: dict[str, Any]) -> str:
    """Return an event in a few words."""
    label, zone, word = payload["label"], payload["zone"], payload["direction"]
    said = f"{label} #{payload['track_id']} {SAID[payload['event_type']]}"
    said += f" {zone}" * bool(zone) + f" {word}" * bool(word)
    if (speed := payload["speed_mps"]) is not None:
        said += f" at {speed:.1f} m/s"
    counts = ", ".join(f"{number} {key}" for key, number in payload["counts"].items())
    return f"{said} (now {counts})" if counts else said


def describe_counts(payload: dict[str, Any]) -> str:
    """Return the counts in a few words, without those that are 0."""
    zones = payload["counts"].items()
    words = [
        f"{zone}: {', '.join(f'{number} {key}' for key, number in labels.items() if number)}"
        for zone, labels in zones
        if any(labels.values())
    ]
    return "; ".join(words) or "nobody and nothing anywhere"


def _ratio(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), RATIO_DECIMALS)
