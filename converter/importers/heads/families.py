"""The families of models that can be converted. A new one is a row, and a module that finds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.coco_labels import COCO_LABELS
from converter.importers.heads.beside import find_masks, find_points
from converter.importers.heads.fields import BOX_AND_OBJECTNESS
from converter.importers.heads.maps import find_segmentation
from converter.importers.heads.ssd import find_ssd
from converter.importers.heads.whole import find_classes, find_reconstruction
from converter.importers.heads.yolo import find_yolo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph
    from edge.decode.instance_masks import PrototypeMasksHead
    from edge.decode.keypoints import KeypointsHead
    from edge.decode.yolo import YoloHead

    # A head, and the channels of each output role: the number of labels.
    Count = Callable[[Any, Mapping[str, int]], int | None]

# Labels that a data set of that many classes has by its own specification.
KNOWN_LABELS = {
    len(COCO_LABELS): COCO_LABELS,
    sum(map(bool, COCO_LABELS)): tuple(filter(None, COCO_LABELS)),
}
MASK_LABELS = {2: ("background", "foreground")}


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        gives: What such a model gives, for the person who is asked.
        find: Returns a graph up to its raw heads, with what they mean.
        counts: Kind of head to what tells how many labels it needs, background included where it is
            a label; `None` where the outputs do not say: class ids that the graph chose itself.
        labels: Number of labels to those that go without saying.
    """

    gives: str
    find: Callable[[Graph, Path, Choice], Draft]
    counts: Mapping[str, Count]
    labels: Mapping[int, tuple[str, ...]]


def _of_anchors(head: YoloHead, channels: Mapping[str, int]) -> int:
    grid = head.grids[0]
    each = channels[grid.scores] // len(grid.anchors_px)
    return each - BOX_AND_OBJECTNESS if grid.boxes == grid.scores else each


_OF_GRIDS: Mapping[str, Count] = {
    "yolo": _of_anchors,
    "anchor_free": lambda head, channels: channels[head.grids[0].scores],
}


def _of_boxes(head: PrototypeMasksHead | KeypointsHead, channels: Mapping[str, int]) -> int | None:
    return _OF_GRIDS[head.boxes.kind](head.boxes, channels)


FAMILIES = {
    "ssd": Family(
        "two outputs, boxes and scores of anchors",
        find_ssd,
        {"ssd": lambda head, channels: channels["scores"] - head.background},
        KNOWN_LABELS,
    ),
    "yolo": Family("grids of boxes", find_yolo, _OF_GRIDS, KNOWN_LABELS),
    "yolo-seg": Family(
        "grids of boxes, and prototypes of their masks",
        find_masks,
        {"prototype_masks": _of_boxes},
        KNOWN_LABELS,
    ),
    "yolo-pose": Family(
        "grids of boxes with keypoints", find_points, {"keypoints": _of_boxes}, KNOWN_LABELS
    ),
    "unet": Family(
        "a map of classes",
        find_segmentation,
        {
            "segmentation": lambda head, channels: (
                None if head.activation == "argmax" else max(2, channels["classes"])
            )
        },
        MASK_LABELS,
    ),
    "classifier": Family(
        "a score for each class",
        find_classes,
        {"classes": lambda _, channels: channels["scores"]},
        {},
    ),
    "autoencoder": Family(
        "its own image again", find_reconstruction, {"anomaly": lambda *_: 0}, {0: ()}
    ),
}
FAMILY_OF_HEAD = {kind: name for name, family in FAMILIES.items() for kind in family.counts}
