"""The message of one observation: its fields, its JSON Schema, its encoder and its topics.

`Payload` is the only description of a message. pydantic writes the JSON from it and derives the
schema from it, so that neither can drift from the other; docs/payload.md says it in prose.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from edge.errors import ConfigError
from edge.observation import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.detections import Detections
    from edge.observation import Observation

SCHEMA_VERSION = 1
SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
TIME_PATTERN = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
# Naive on purpose: UTC throughout, and the "Z" is written by hand.
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
NS_PER_US = 1000

# Decimals that leave the board. A ratio's five resolve 0.04 px of a 4,096 px frame.
SCORE_DECIMALS = 4
PX_DECIMALS = 1
RATIO_DECIMALS = 5
MS_DECIMALS = 3

Ratio = Annotated[float, Field(ge=0, le=1)]
Px = Annotated[float, Field(ge=0)]
PxBox = Annotated[list[Px], Field(min_length=4, max_length=4)]
RatioBox = Annotated[list[Ratio], Field(min_length=4, max_length=4)]
Ms = Annotated[float, Field(ge=0)]
Side = Annotated[int, Field(gt=0)]


class ModelPayload(TypedDict):
    """Which model saw it."""

    name: Annotated[str, Field(description="The manifest's name of the model.")]
    digest: Annotated[str, Field(description="sha256: and the hex digest of the model's bytes.")]


class FramePayload(TypedDict):
    """Size of the source frame."""

    width_px: Side
    height_px: Side


class DetectionPayload(TypedDict):
    """One detected object."""

    label: Annotated[str, Field(description="Text of the class id.")]
    class_id: Annotated[int, Field(ge=0, description="Index into the model's labels.")]
    score: Annotated[float, Field(ge=0, le=1, description="Four decimals.")]
    box_px: Annotated[
        PxBox,
        Field(description="x1, y1, x2, y2 in pixels of the source frame, half-open, one decimal."),
    ]
    box_ratio: Annotated[
        RatioBox,
        Field(description="The same box divided by the frame's width and height, five decimals."),
    ]


class StagePayload(TypedDict):
    """Milliseconds that each stage took for this frame, three decimals."""

    capture: Ms
    preprocess: Ms
    invoke: Ms
    decode: Ms
    suppress: Ms


class Payload(TypedDict):
    """What one camera of one device saw on one frame."""

    schema_version: Annotated[Literal[1], Field(description="Version of this description.")]
    device: Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]
    camera: Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]
    model: ModelPayload
    sequence: Annotated[
        int, Field(ge=0, description="The frame's number within its source; dropped ones count.")
    ]
    captured_at: Annotated[
        str,
        Field(
            pattern=TIME_PATTERN,
            description="When the frame was complete: RFC 3339, UTC, microseconds.",
            json_schema_extra={"format": "date-time"},
        ),
    ]
    frame: FramePayload
    detections: Annotated[list[DetectionPayload], Field(description="By falling score.")]
    stage_ms: StagePayload
    age_ms: Annotated[
        float, Field(ge=0, description="From the frame's capture to its detections, milliseconds.")
    ]
    dropped_frames: Annotated[
        int, Field(ge=0, description="Frames replaced unseen since the start.")
    ]


ADAPTER = TypeAdapter(Payload)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks: a device's camera, and the model that looks through it.

    Raises:
        ConfigError: A name holds what a topic may not.
    """

    device: str
    camera: str
    model_name: str
    model_digest: str

    def __post_init__(self) -> None:
        check_name("device", self.device)
        check_name("camera", self.camera)


class PayloadEncoder:
    """Turns observations into messages; on x86 in 7, 25 and 97 µs at 0, 10, 100 detections.

    Args:
        identity: Written into every message.
        labels: Text of each class id.

    Attributes:
        identity: The same.
        refused_detections: Detections left out so far because a number of theirs was not finite.
    """

    def __init__(self, identity: Identity, labels: Sequence[str]) -> None:
        self.identity = identity
        self.refused_detections = 0
        self._labels = tuple(labels)
        self._model: ModelPayload = {"name": identity.model_name, "digest": identity.model_digest}

    def encode(self, observation: Observation) -> bytes:
        """Return the message of an observation: compact UTF-8 JSON of a `Payload`.

        Raises:
            ValueError: A stage's time or the age is not finite.
        """
        width, height = observation.size_wh
        payload: Payload = {
            "schema_version": 1,
            "device": self.identity.device,
            "camera": self.identity.camera,
            "model": self._model,
            "sequence": observation.sequence,
            "captured_at": utc_text(observation.captured_utc_ns),
            "frame": {"width_px": width, "height_px": height},
            "detections": self._detections(observation.detections, observation.size_wh),
            "stage_ms": _stages(observation.stage_ms),
            "age_ms": _ms("age", observation.age_ms),
            "dropped_frames": observation.dropped_frames,
        }
        return ADAPTER.dump_json(payload)

    def _detections(
        self, detections: Detections, size_wh: tuple[int, int]
    ) -> list[DetectionPayload]:
        if not len(detections):
            return []
        numbers = np.empty((len(detections), 9))  # (N, 9): score, box_px, box_ratio
        numbers[:, 0] = detections.scores
        numbers[:, 1:5] = detections.boxes
        class_ids = detections.class_ids
        finite = np.isfinite(numbers[:, :5]).all(axis=1)  # (N,)
        if not finite.all():
            self.refused_detections += int((~finite).sum())
            numbers, class_ids = numbers[finite], class_ids[finite]
        numbers[:, 5:] = numbers[:, 1:5] / (*size_wh, *size_wh)
        scores = numbers[:, 0].round(SCORE_DECIMALS).tolist()
        boxes_px = numbers[:, 1:5].round(PX_DECIMALS).tolist()
        boxes_ratio = numbers[:, 5:].round(RATIO_DECIMALS).tolist()
        return [
            {
                "label": self._labels[class_id],
                "class_id": class_id,
                "score": score,
                "box_px": box_px,
                "box_ratio": box_ratio,
            }
            for class_id, score, box_px, box_ratio in zip(
                class_ids.tolist(), scores, boxes_px, boxes_ratio, strict=True
            )
        ]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a message, derived from `Payload`."""
    return {
        "$schema": SCHEMA_DIALECT,
        **ADAPTER.json_schema(mode="serialization"),
        "title": f"edge-vision payload, version {SCHEMA_VERSION}",
    }


def detections_topic(device: str, camera: str) -> str:
    """Return where a camera's observations go."""
    return f"edge/{device}/{camera}/detections"


def status_topic(device: str, camera: str) -> str:
    """Return where `online` or `offline` stands, retained."""
    return f"edge/{device}/{camera}/status"


def check_name(what: str, name: str) -> str:
    """Return a name that may be a level of a topic.

    Args:
        what: The thing that is named, for the message.
        name: To check.

    Raises:
        ConfigError: It is empty, too long, or holds other characters than A-Z a-z 0-9 _ -.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(
            f"{what} name must be 1 to 64 of the characters A-Z a-z 0-9 _ -, found {name!r}; "
            "choose another name"
        )
    return name


def utc_text(utc_ns: int) -> str:
    """Return nanoseconds since the Unix epoch as RFC 3339 text in UTC, cut to microseconds."""
    moment = EPOCH + timedelta(microseconds=utc_ns // NS_PER_US)
    return moment.isoformat(timespec="microseconds") + "Z"


def _stages(stage_ms: dict[str, float]) -> StagePayload:
    capture, preprocess, invoke, decode, suppress = (_ms(name, stage_ms[name]) for name in STAGES)
    return {
        "capture": capture,
        "preprocess": preprocess,
        "invoke": invoke,
        "decode": decode,
        "suppress": suppress,
    }


def _ms(what: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{what} must take a finite time, got {value} ms")
    return round(value, MS_DECIMALS)
