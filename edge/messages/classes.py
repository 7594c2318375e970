"""The message of a frame that a classifier saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from edge.messages.envelope import (
    AgeMs,
    ClassId,
    DroppedFrames,
    Envelope,
    Label,
    StageMs,
    result_topic,
    timing,
)
from edge.results.classes import Classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.messages.envelope import Identity
    from edge.results.observation import Observation

TOPIC = "classes"
SCORE_DECIMALS = 4


class ClassPayload(TypedDict):
    """One class of the frame."""

    label: Label
    class_id: ClassId
    score: Annotated[float, Meta(ge=0, le=1, description="Four decimals.")]


class ClassesPayload(Envelope):
    """What one camera of one device saw on one frame, with a classifier."""

    classes: Annotated[
        list[ClassPayload],
        Meta(description="The best classes from the threshold on, by falling score."),
    ]
    stage_ms: StageMs
    age_ms: AgeMs
    dropped_frames: DroppedFrames


class ClassesEncoder:
    """Turns observations into messages.

    Args:
        identity: Written into every message.
        labels: Text of each class id.

    Attributes:
        identity: The same.
    """

    def __init__(self, identity: Identity, labels: Sequence[str]) -> None:
        self.identity = identity
        self._labels = tuple(labels)

    def topic(self, camera: str) -> str:
        """Return where the messages of a camera go."""
        return result_topic(self.identity.device, camera, TOPIC)

    def encode(self, observation: Observation) -> bytes:
        """Return the message of an observation: compact UTF-8 JSON of a `ClassesPayload`.

        Raises:
            ValueError: A stage's time or the age is not finite.
        """
        seen = observation.result
        if not isinstance(seen, Classes):
            raise TypeError(f"expected Classes, got {type(seen).__name__}")
        payload: ClassesPayload = {
            **self.identity.envelope(observation),
            "classes": [
                {"label": self._labels[class_id], "class_id": class_id, "score": score}
                for class_id, score in zip(
                    seen.class_ids.tolist(),
                    seen.scores.astype(float).round(SCORE_DECIMALS).tolist(),
                    strict=True,
                )
            ],
            **timing(observation),
        }
        return msgspec.json.encode(payload)


def describe(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and a few words for each class of a message."""
    return [(each["label"], f"{each['label']} {each['score']:.2f}") for each in payload["classes"]]
