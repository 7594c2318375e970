"""The message of a frame that a model of instance masks saw: detections, each with its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from edge.messages.detections import (
    PX_DECIMALS,
    DetectionPayload,
    PxBox,
    is_finite,
    rows,
)
from edge.messages.envelope import RATIO_DECIMALS, Envelope, Ratio, Side, Timing
from edge.messages.segmentation import MAX_RUNS, reduced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.messages.envelope import Fields
    from edge.results.instances import Instances, Mask

TOPIC = "instances"


class MaskPayload(TypedDict):
    """The cells of a grid that belong to an object."""

    box_px: Annotated[
        PxBox,
        Meta(description="x1, y1, x2, y2 of the grid in pixels of the source frame, half-open."),
    ]
    width: Annotated[Side, Meta(description="Columns of the grid, each of the same width.")]
    height: Annotated[Side, Meta(description="Rows of the grid, each of the same height.")]
    runs: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(
            min_length=1,
            max_length=MAX_RUNS + 1,
            description="Row by row from the top left: number of cells outside, inside, outside, …",
        ),
    ]


class _Shape(TypedDict, total=False):
    mask: MaskPayload


class InstancePayload(DetectionPayload, _Shape):
    """One object with its mask."""

    area_ratio: Annotated[
        Ratio, Meta(description="Share of the frame, five decimals; of the mask as decoded.")
    ]


class InstancesPayload(Envelope, Timing):
    """What one camera of one device saw on one frame, with a model of instance masks."""

    instances: Annotated[list[InstancePayload], Meta(description="By falling score.")]


def fields(labels: Sequence[str], *, class_map: bool = True) -> Fields:
    """Return what makes the part of a message that tells of instances.

    The masks of a message share `MAX_RUNS` runs evenly, so that no message outgrows 30 KiB by them.

    Args:
        labels: Text of each class id.
        class_map: Whether the masks go into the message.
    """

    def of_frame(seen: Instances, size_wh: tuple[int, int]) -> dict[str, Any]:
        seen = seen[is_finite(seen)]
        if not len(seen):
            return {"instances": []}
        frame_px = size_wh[0] * size_wh[1]
        most = max(1, MAX_RUNS // len(seen))
        found: list[dict[str, Any]] = []
        for row, mask in zip(rows(seen, size_wh, labels), seen.masks, strict=True):
            area_ratio = round(min(1.0, mask.area_px / frame_px), RATIO_DECIMALS)
            sent = {"mask": _mask(mask, most)} if class_map else {}
            found.append({**row, "area_ratio": area_ratio, **sent})
        return {"instances": found}

    return of_frame


def _mask(mask: Mask, most: int) -> MaskPayload:
    seen = mask.class_map()
    sent, runs = reduced(seen, seen.runs(), most=most)
    height, width = sent.class_ids.shape
    # What begins with the object has no cell before it.
    lengths = [0] * int(runs.class_ids[0]) + runs.lengths.tolist()
    box_px = np.round(mask.box, PX_DECIMALS).tolist()
    return {"box_px": box_px, "width": width, "height": height, "runs": lengths}
