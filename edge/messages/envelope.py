"""What every message is and has in common: its envelope, its names, its topics.

The kinds of messages stand beside this file: one typed dict each, the only description of such a
message. The schema is derived from it; the parts of a message are checked against it by type, whole
messages by the tests against the schema. docs/payload.md and docs/mqtt.md say it in prose.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model.backend import Ran
    from edge.results.observation import Observation

    # From a result, and the size of its frame, to what a kind of message says of it.
    Fields = Callable[[Any, tuple[int, int]], dict[str, Any]]

SCHEMA_VERSION: Literal[1] = 1
NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
# Naive on purpose: UTC throughout, and the "Z" is written by hand.
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
NS_PER_US = 1000
ONLINE, OFFLINE = b"online", b"offline"

# Decimals that leave the board. A ratio's five resolve 0.04 px of a 4,096 px frame.
RATIO_DECIMALS = 5
SCORE_DECIMALS = 4
MS_DECIMALS = 3

Ratio = Annotated[float, Meta(ge=0, le=1)]
Side = Annotated[int, Meta(gt=0)]
Version = Annotated[Literal[1], Meta(description="Version of this description.")]
DeviceOrCamera = Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}$")]
Moment = Annotated[
    str,
    Meta(
        pattern=TIME_PATTERN,
        description="RFC 3339, UTC, microseconds.",
        extra_json_schema={"format": "date-time"},
    ),
]
Label = Annotated[str, Meta(description="Text of the class id.")]
ClassId = Annotated[int, Meta(ge=0, description="Index into the model's labels.")]


class ModelPayload(TypedDict):
    """Which model saw it."""

    name: Annotated[str, Meta(description="The manifest's name of the model.")]
    digest: Annotated[str, Meta(description="sha256: and the hex digest of the model's bytes.")]


class IntroductionPayload(TypedDict):
    """Which model runs, and what invokes it."""

    schema_version: Version
    device: DeviceOrCamera
    model: ModelPayload
    backend: Annotated[str, Meta(description="The library that invokes it.")]
    version: Annotated[str, Meta(description="Of the library.")]
    provider: Annotated[str, Meta(description="What of the library does the work.")]
    accelerator: Annotated[str, Meta(description="The device's own name; empty without one.")]


class FramePayload(TypedDict):
    """Size of the source frame."""

    width_px: Side
    height_px: Side


class Envelope(TypedDict):
    """Who saw what and when; the first fields of every message."""

    schema_version: Version
    device: DeviceOrCamera
    camera: DeviceOrCamera
    model: ModelPayload
    sequence: Annotated[
        int, Meta(ge=0, description="The frame's number within its source; dropped ones count.")
    ]
    captured_at: Annotated[
        Moment, Meta(description="When the frame was complete: RFC 3339, UTC, microseconds.")
    ]
    frame: FramePayload


class Timing(TypedDict):
    """How long it took; the last fields of every message."""

    stage_ms: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        Meta(
            description="Milliseconds that each stage took for this frame, three decimals.",
            extra_json_schema={"required": ["capture", "preprocess", "invoke", "decode"]},
        ),
    ]
    age_ms: Annotated[
        float, Meta(ge=0, description="From the frame's capture to its result, milliseconds.")
    ]
    dropped_frames: Annotated[
        int, Meta(ge=0, description="Frames replaced unseen since the start.")
    ]


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        topic: Where it goes; a sink without topics writes the payload alone.
        payload: Of a JSON message compact UTF-8, no newline.
        qos: 0 at most once, 1 at least once.
        retain: The broker keeps it for who subscribes later.
        policy: `stream`: the oldest make room for the newest, and are counted. `state`: only the
            newest of a key counts, and it is sent again on every connect. `event`: kept in order,
            each delivered.
        key: Of a state: what it is the state of; its topic where empty.
        correlation: Of an answer, what MQTT 5 tells the asker by which request it is.

    Raises:
        ValueError: No message can go to this topic.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = False
    policy: Literal["stream", "state", "event"] = "stream"
    key: str = ""
    correlation: bytes = b""

    def __post_init__(self) -> None:
        if not self.topic or "+" in self.topic or "#" in self.topic:
            raise ValueError(f"expected a topic without + and #, got {self.topic!r}")


class Received(bytes):
    """The payload of a message that arrived.

    Attributes:
        response_topic: Where MQTT 5 has it answered; empty where the asker named none.
        correlation: Goes into the answer, as `Message.correlation`.
    """

    response_topic = ""
    correlation = b""

    @classmethod
    def of(cls, payload: bytes, *, response_topic: str, correlation: bytes) -> Received:
        """Return a payload with the rest of its message."""
        one = cls(payload)
        one.response_topic, one.correlation = response_topic, correlation
        return one


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns observations into messages of one kind.

    Attributes:
        device: Who speaks; a level of their topics.
        model: That looks through its cameras.
        level: Last level of their topics.
        fields: Makes what stands between envelope and timing.
    """

    device: str
    model: ModelPayload
    level: str
    fields: Fields

    def topic(self, camera: str) -> str:
        """Return where the messages of a camera go."""
        return f"edge/{self.device}/{camera}/{self.level}"

    def introduction(self, ran: Ran) -> Message:
        """Return which model runs and what invokes it, kept by the broker for who asks later."""
        fields: IntroductionPayload = {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "model": self.model,
            "backend": ran.backend,
            "version": ran.version,
            "provider": ran.provider,
            "accelerator": ran.device,
        }
        topic = f"edge/{self.device}/model"
        return Message(topic, msgspec.json.encode(fields), retain=True, policy="state")

    def encode(self, observation: Observation) -> bytes:
        """Return the message of an observation: compact UTF-8 JSON.

        Raises:
            ValueError: A stage's time or the age is not finite.
        """
        width, height = observation.size_wh
        envelope: Envelope = {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "camera": observation.camera,
            "model": self.model,
            "sequence": observation.sequence,
            "captured_at": utc_text(observation.captured_utc_ns),
            "frame": {"width_px": width, "height_px": height},
        }
        times: Timing = {
            "stage_ms": {name: _rounded_ms(name, ms) for name, ms in observation.stage_ms.items()},
            "age_ms": _rounded_ms("age", observation.age_ms),
            "dropped_frames": observation.dropped_frames,
        }
        fields = self.fields(observation.result, observation.size_wh)
        return msgspec.json.encode({**envelope, **fields, **times})


def status_topic(device: str) -> str:
    """Return where `online` or `offline` stands, retained; one for all cameras of a device."""
    return f"edge/{device}/status"


def camera_status_topic(device: str, camera: str) -> str:
    """Return where `online`, `frozen` or `offline` stands, retained: what a camera gives."""
    return f"edge/{device}/{camera}/status"


def command_topic(device: str) -> str:
    """Return where commands come in, each with its name in the place of the wildcard."""
    return f"edge/{device}/command/+"


def is_command(topic: str) -> bool:
    """Whether a topic is that of a command to some device."""
    return topic_matches(command_topic("+"), topic)


def reply_topic(device: str, command: str) -> str:
    """Return where a command is answered."""
    return f"edge/{device}/reply/{command}"


def settings_topic(device: str) -> str:
    """Return where stands, retained, what holds now of all that may change."""
    return f"edge/{device}/settings"


def presence_topic(device: str) -> str:
    """Return where each run of a device says who it is, so that two of one name notice it."""
    return f"edge/{device}/presence"


def topic_matches(wanted: str, topic: str) -> bool:
    """Whether a topic is one of those meant: `+` is any one level, `#` all that follow, or none."""
    meant, levels = wanted.split("/"), topic.split("/")
    for place, level in enumerate(meant):
        if level == "#":
            return True
        if place >= len(levels) or level not in ("+", levels[place]):
            return False
    return len(meant) == len(levels)


def utc_text(utc_ns: int) -> str:
    """Return nanoseconds since the Unix epoch as RFC 3339 text in UTC, cut to microseconds."""
    moment = EPOCH + timedelta(microseconds=utc_ns // NS_PER_US)
    return moment.isoformat(timespec="microseconds") + "Z"


def _rounded_ms(what: str, value_ms: float) -> float:
    if not math.isfinite(value_ms):
        raise ValueError(f"{what} must take a finite time, got {value_ms} ms")
    return round(value_ms, MS_DECIMALS)
