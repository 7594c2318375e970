"""The message of a frame that a pose model saw: detections, each with its keypoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from edge.messages.detections import PX_DECIMALS, DetectionPayload, is_finite, rows
from edge.messages.envelope import RATIO_DECIMALS, SCORE_DECIMALS, Envelope, Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.messages.envelope import Fields
    from edge.results.poses import Poses

TOPIC = "poses"

Place = Annotated[list[float], Meta(min_length=2, max_length=2)]


class KeypointPayload(TypedDict):
    """One point of an object; it may lie outside the frame, where the model guesses it there."""

    name: Annotated[str, Meta(description="As the model's description has it.")]
    point_px: Annotated[Place, Meta(description="x, y in pixels of the source frame, one decimal.")]
    point_ratio: Annotated[
        Place, Meta(description="The same over the frame's width and height, five decimals.")
    ]
    score: Annotated[float, Meta(ge=0, le=1, description="Four decimals.")]


class PosePayload(DetectionPayload):
    """One object with its keypoints."""

    keypoints: Annotated[
        list[KeypointPayload], Meta(description="All of the model's, in its order.")
    ]


class PosesPayload(Envelope, Timing):
    """What one camera of one device saw on one frame, with a pose model."""

    poses: Annotated[list[PosePayload], Meta(description="By falling score.")]


def fields(labels: Sequence[str], names: Sequence[str]) -> Fields:
    """Return what makes the part of a message that tells of poses.

    Args:
        labels: Text of each class id.
        names: Of each keypoint.
    """

    def of_frame(seen: Poses, size_wh: tuple[int, int]) -> dict[str, Any]:
        seen = seen[is_finite(seen) & np.isfinite(seen.points).all(axis=(1, 2))]
        if not len(seen):
            return {"poses": []}
        points = seen.points.astype(float)  # (N, K, 3)
        places_px = points[..., :2].round(PX_DECIMALS).tolist()
        places_ratio = (points[..., :2] / size_wh).round(RATIO_DECIMALS).tolist()
        scores = points[..., 2].round(SCORE_DECIMALS).tolist()
        keys = ("name", "point_px", "point_ratio", "score")
        found = [
            row
            | {
                "keypoints": [
                    dict(zip(keys, point, strict=True)) for point in zip(names, *each, strict=True)
                ]
            }
            for row, *each in zip(
                rows(seen, size_wh, labels), places_px, places_ratio, scores, strict=True
            )
        ]
        return {"poses": found}

    return of_frame
