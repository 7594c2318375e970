"""The message of a frame that an autoencoder saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from msgspec import Meta

from edge.messages.envelope import Envelope, Side, Timing

if TYPE_CHECKING:
    from edge.results.anomaly import Anomaly

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


class AnomalyPayload(Envelope, Timing):
    """What one camera of one device saw on one frame, with an autoencoder."""

    anomaly: AnomalyDetailPayload


def fields(seen: Anomaly, _size_wh: tuple[int, int]) -> dict[str, Any]:
    """Return what a message says of a frame beside its envelope."""
    height, width = seen.heat.shape
    errors = seen.heat.astype(float).round(ERROR_DECIMALS).reshape(-1).tolist()
    detail: AnomalyDetailPayload = {
        "error": round(seen.error, ERROR_DECIMALS),
        "threshold": seen.threshold,
        "is_anomaly": seen.is_anomaly,
        "heat_map": {"width": width, "height": height, "errors": errors},
    }
    return {"anomaly": detail}


def describe(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return whether a message tells of an anomaly, and a few words."""
    anomaly = payload["anomaly"]
    label = "anomaly" if anomaly["is_anomaly"] else "normal"
    return [(label, f"{label}: error {anomaly['error']:.4g} of {anomaly['threshold']:.4g}")]
