"""The message of a frame that a segmenter saw: areas, and the class map in runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from edge.messages.envelope import RATIO_DECIMALS, ClassId, Envelope, Label, Ratio, Side, Timing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.messages.envelope import Fields
    from edge.results.class_map import ClassMap, Runs

TOPIC = "segmentation"
# Maps of photographs, of 256 x 256 cells, have 300 to 600 (median of three nets), at most 4,029.
# What has more is noise; a run takes at most 14 bytes, so that no map takes over 56 KiB.
MAX_RUNS = 4096


class AreaPayload(TypedDict):
    """How much of the frame one class covers."""

    label: Label
    class_id: ClassId
    area_ratio: Annotated[
        Ratio, Meta(description="Share of the frame, five decimals; of the map as it was decoded.")
    ]


class ClassMapPayload(TypedDict):
    """A class id for each cell of a grid that lies over the whole frame."""

    width: Annotated[Side, Meta(description="Columns of the grid, each of the same width.")]
    height: Annotated[Side, Meta(description="Rows of the grid, each of the same height.")]
    runs: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(
            min_length=2,
            max_length=2 * MAX_RUNS,
            description="Row by row from the top left: class id, number of cells, class id, …",
        ),
    ]


class _Areas(Envelope):
    areas: Annotated[
        list[AreaPayload],
        Meta(description="Classes that were seen, without the background; by falling area."),
    ]


class _Map(_Areas, total=False):
    class_map: ClassMapPayload


class SegmentationPayload(_Map, Timing):
    """What one camera of one device saw on one frame, with a segmenter."""


def fields(labels: Sequence[str], *, background: int | None = 0, class_map: bool = True) -> Fields:
    """Return what makes the part of a message that tells of areas.

    With the rest of the message it takes 30 to 90 µs on x86, and 1.1 ms if the map is noise.

    Args:
        labels: Text of each class id.
        background: Class id that is left out of the areas; `None` leaves none out.
        class_map: Whether the map goes into the message.
    """

    def of_frame(seen: ClassMap, _size_wh: tuple[int, int]) -> dict[str, Any]:
        runs = seen.runs()
        ratios = runs.area_ratios(len(labels))
        areas: list[AreaPayload] = [
            {
                "label": labels[class_id],
                "class_id": class_id,
                "area_ratio": round(float(ratios[class_id]), RATIO_DECIMALS),
            }
            for class_id in np.argsort(-ratios, kind="stable").tolist()
            if ratios[class_id] > 0 and class_id != background
        ]
        return {"areas": areas} | ({"class_map": _class_map(seen, runs)} if class_map else {})

    return of_frame


def _class_map(seen: ClassMap, runs: Runs) -> ClassMapPayload:
    sent, runs = reduced(seen, runs, most=MAX_RUNS)
    height, width = sent.class_ids.shape
    pairs = np.empty((len(runs.lengths), 2), np.int64)
    pairs[:, 0], pairs[:, 1] = runs.class_ids, runs.lengths
    return {"width": width, "height": height, "runs": pairs.reshape(-1).tolist()}


def reduced(seen: ClassMap, runs: Runs, *, most: int) -> tuple[ClassMap, Runs]:
    """Return a map of half as many rows and columns until its runs are at most these."""
    step, sent = 1, seen
    while len(runs.lengths) > most:
        step *= 2
        sent = seen.coarse(step)
        runs = sent.runs()
    return sent, runs


def describe(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the label and a few words for each class of a message."""
    return [
        (area["label"], f"{area['label']} {area['area_ratio']:.1%}") for area in payload["areas"]
    ]
