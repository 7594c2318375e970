"""The message of a frame that a detector saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from edge.messages.envelope import (
    RATIO_DECIMALS,
    SCORE_DECIMALS,
    ClassId,
    Envelope,
    Label,
    Ratio,
    Timing,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.messages.envelope import Fields
    from edge.results.detections import Detections

TOPIC = "detections"
PX_DECIMALS = 1

Px = Annotated[float, Meta(ge=0)]
PxBox = Annotated[list[Px], Meta(min_length=4, max_length=4)]
RatioBox = Annotated[list[Ratio], Meta(min_length=4, max_length=4)]


class _Tracked(TypedDict, total=False):
    track_id: Annotated[int, Meta(description="The same for the same object from frame to frame.")]
    stationary: Annotated[bool, Meta(description="It has rested for `stationary_s`.")]


class DetectionPayload(_Tracked):
    """One detected object."""

    label: Label
    class_id: ClassId
    score: Annotated[float, Meta(ge=0, le=1, description="Four decimals.")]
    box_px: Annotated[
        PxBox,
        Meta(description="x1, y1, x2, y2 in pixels of the source frame, half-open, one decimal."),
    ]
    box_ratio: Annotated[
        RatioBox,
        Meta(description="The same box divided by the frame's width and height, five decimals."),
    ]


class DetectionsPayload(Envelope, Timing):
    """What one camera of one device saw on one frame, with a detector."""

    detections: Annotated[list[DetectionPayload], Meta(description="By falling score.")]


def fields(labels: Sequence[str]) -> Fields:
    """Return what makes the part of a message that tells of detections.

    With the rest of the message it takes 7, 25 and 97 µs at 0, 10, 100 detections, x86. What is not
    finite, as a damaged output gives it, is left out.
    """

    def of_frame(seen: Detections, size_wh: tuple[int, int]) -> dict[str, Any]:
        return {"detections": rows(seen, size_wh, labels) if len(seen) else []}

    return of_frame


def is_finite(seen: Detections) -> NDArray[np.bool_]:
    """Return of which ones box and score are finite, as a message can tell them, `(N,)`."""
    return np.asarray(np.isfinite(seen.boxes).all(axis=1) & np.isfinite(seen.scores))


def rows(
    seen: Detections, size_wh: tuple[int, int], labels: Sequence[str]
) -> list[DetectionPayload]:
    """Return what a message says of each detection, of at least one."""
    numbers = np.empty((len(seen), 9))  # (N, 9): score, box_px, box_ratio
    numbers[:, 0] = seen.scores
    numbers[:, 1:5] = seen.boxes
    finite = np.logical_and.reduce(np.isfinite(numbers[:, :5]), axis=1)  # (N,)
    if not finite.all():
        numbers, seen = numbers[finite], seen[finite]
    numbers[:, 5:] = numbers[:, 1:5] / (*size_wh, *size_wh)
    scores = numbers[:, 0].round(SCORE_DECIMALS).tolist()
    boxes_px = numbers[:, 1:5].round(PX_DECIMALS).tolist()
    boxes_ratio = numbers[:, 5:].round(RATIO_DECIMALS).tolist()
    found: list[DetectionPayload] = [
        {
            "label": labels[class_id],
            "class_id": class_id,
            "score": score,
            "box_px": box_px,
            "box_ratio": box_ratio,
        }
        for class_id, score, box_px, box_ratio in zip(
            seen.class_ids.tolist(), scores, boxes_px, boxes_ratio, strict=True
        )
    ]
    if seen.track_ids is not None:
        for row, track_id in zip(found, seen.track_ids.tolist(), strict=True):
            row["track_id"] = track_id
    if seen.stationary is not None:
        for row, rests in zip(found, seen.stationary.tolist(), strict=True):
            row["stationary"] = rests
    return found


def describe(payload: dict[str, Any], key: str = TOPIC) -> list[tuple[str, str]]:
    """Return the label and a few words for each of what `rows` made of a message, under a key."""
    said = []
    for each in payload[key]:
        box = ", ".join(f"{side:.0f}" for side in each["box_px"])
        said.append((each["label"], f"{each['label']} {each['score']:.2f} at ({box}) px"))
    return said
