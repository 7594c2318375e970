"""Which outputs hold nothing but raw scores, and how low it matters what they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from calibration.ranges import Range
from edge.decode.anchor_free import AnchorFreeHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import KeypointsHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloHead

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.model.description import HeadSchema


def score_roles(head: HeadSchema) -> set[str]:
    """Return the roles of which each value is, by a sigmoid, a score or a factor of one.

    Classes of a softmax are none: each counts beside the others. Nor is a tensor that holds boxes
    too.
    """
    if isinstance(head, PrototypeMasksHead | KeypointsHead):
        head = head.boxes
    if isinstance(head, SsdHead):
        return {"scores"} if head.activation == "sigmoid" else set()
    if not isinstance(head, YoloHead | AnchorFreeHead):
        return set()
    found = {grid.objectness for grid in head.grids if grid.objectness is not None}
    if not isinstance(head, YoloHead) or head.classes == "sigmoid":
        found |= {grid.scores for grid in head.grids}
    return found - {grid.boxes for grid in head.grids}


def saturate_scores(
    ranges: dict[str, Range], tensors: Collection[str], *, floor: float
) -> dict[str, Range]:
    """Return the ranges, the low ends of some raw scores raised to ``logit(floor)``.

    Raw scores of SSDLite reach -35, where the sigmoid is 1e-15: levels spent on scores that no
    threshold will ever tell apart. Where a score is a product, no factor may lie below it either.

    Args:
        ranges: Of tensors, by name.
        tensors: Names of those that hold raw scores.
        floor: Least score that is told from others, in [0, 1).
    """
    if floor <= 0:
        return ranges
    low = math.log(floor / (1 - floor))
    saturated = {
        name: Range(max(ranges[name].min, low), ranges[name].max)
        for name in tensors
        # A grid that saw nothing keeps what tells its cells apart.
        if ranges[name].max > low
    }
    return ranges | saturated
