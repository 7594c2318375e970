"""The message of a frame that an autoencoder saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import msgspec
from msgspec import Meta

from edge.messages.envelope import (
    AgeMs,
    DroppedFrames,
    Envelope,
    Side,
    StageMs,
    result_topic,
    timing,
)
from edge.results.anomaly import Anomaly

if TYPE_CHECKING:
    from edge.messages.envelope import Identity
    from edge.results.observation import Observation

TOPIC = "anomaly"
ERROR_DECIMALS = 6

Error = Annotated[float, Meta(ge=0, description="Mean squared error, six decimals.")]


class HeatMapPayload(TypedDict):
    """The error of each cell of a grid that lies over the whole frame."""

    width: Annotated[Side, Meta(description="Columns of the grid.")]
    height: Annotated[Side, Meta(description="Rows of the grid.")]
    errors: Annotated[list[Error], Meta(description="Row by row from the top left.")]


class AnomalyDetailPayload(TypedDict):
    """How far the frame is from its reconstruction."""

    error: Error
    threshold: Annotated[float, Meta(gt=0, description="Least error of an anomaly.")]
    is_anomaly: bool
    heat_map: HeatMapPayload


class AnomalyPayload(Envelope):
    """What one camera of one device saw on one frame, with an autoencoder."""

    anomaly: AnomalyDetailPayload
    stage_ms: StageMs
    age_ms: AgeMs
    dropped_frames: DroppedFrames


class AnomalyEncoder:
    """Turns observations into messages.

    Args:
        identity: Written into every message.

    Attributes:
        identity: The same.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity

    def topic(self, camera: str) -> str:
        """Return where the messages of a camera go."""
        return result_topic(self.identity.device, camera, TOPIC)

    def encode(self, observation: Observation) -> bytes:
        """Return the message of an observation: compact UTF-8 JSON of an `AnomalyPayload`.

        Raises:
            ValueError: A stage's time or the age is not finite.
        """
        seen = observation.result
        if not isinstance(seen, Anomaly):
            raise TypeError(f"expected an Anomaly, got {type(seen).__name__}")
        height, width = seen.heat.shape
        errors = seen.heat.astype(float).round(ERROR_DECIMALS).reshape(-1).tolist()
        payload: AnomalyPayload = {
            **self.identity.envelope(observation),
            "anomaly": {
                "error": round(seen.error, ERROR_DECIMALS),
                "threshold": seen.threshold,
                "is_anomaly": seen.is_anomaly,
                "heat_map": {"width": width, "height": height, "errors": errors},
            },
            **timing(observation),
        }
        return msgspec.json.encode(payload)


def describe(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return whether a message tells of an anomaly, and a few words."""
    anomaly = payload["anomaly"]
    label = "anomaly" if anomaly["is_anomaly"] else "normal"
    return [(label, f"{label}: error {anomaly['error']:.4g} of {anomaly['threshold']:.4g}")]
