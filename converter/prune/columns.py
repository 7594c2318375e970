"""Which columns of the outputs of a detector with raw boxes are what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.decode.anchor_free import AnchorFreeHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import COMBINED_CLASSES, YoloHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.model.description import Description

BOX = 4
GRIDDED = (SsdHead, YoloHead, AnchorFreeHead)


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of an output, a row an anchor or cell.

    Attributes:
        name: Of the tensor.
        width: Columns of a row.
        start: First of the part.
        stop: Behind its last.
    """

    name: str
    width: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Boxes, their scores, and what both are multiplied by; raw, but for scores of `none`."""

    boxes: Part
    scores: Part
    objectness: Part | None = None
    box_scales: tuple[float, ...] = (1.0,)
    scores_are: str = "sigmoid"


def grids(described: Description) -> list[Grid]:
    """Return the grids of a detector with raw boxes; none of any other head."""
    head, names, count = described.head, described.outputs, len(described.labels)
    if isinstance(head, SsdHead):
        first = int(head.background)
        scores = Part(names["scores"], count + first, first, count + first)
        boxes = Part(names["boxes"], BOX, 0, BOX)
        return [Grid(boxes, scores, None, head.box_scales, head.activation)]
    if isinstance(head, YoloHead):
        return [_yolo_grid(grid, names, count, classes=head.classes) for grid in head.grids]
    if isinstance(head, AnchorFreeHead):
        sides = BOX * head.bins
        return [
            Grid(
                Part(names[grid.boxes], sides, 0, sides),
                Part(names[grid.scores], count, 0, count),
                Part(names[grid.objectness], 1, 0, 1) if grid.objectness else None,
            )
            for grid in head.grids
        ]
    return []


def _yolo_grid(grid: Any, names: Mapping[str, str], count: int, *, classes: str) -> Grid:  # noqa: ANN401
    roles = (grid.boxes, grid.objectness, grid.scores)
    ends = (0, BOX, COMBINED_CLASSES, COMBINED_CLASSES + count)
    is_one = len(set(roles)) == 1
    rows = [
        Part(names[role], ends[-1], start, stop) if is_one
        else Part(names[role], stop - start, 0, stop - start)
        for role, start, stop in zip(roles, ends, ends[1:], strict=False)
    ]  # fmt: skip
    boxes, objectness, scores = rows
    return Grid(boxes, scores, objectness, scores_are=classes)
