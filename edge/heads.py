"""The kinds of heads: what a model's outputs may mean, and who knows it. A new kind is a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

from edge.decode import (
    anomaly,
    box_masks,
    centroids,
    classes,
    instance_masks,
    keypoints,
    segmentation,
)
from edge.decode.box_heads import BOX_HEADS, Head

if TYPE_CHECKING:
    from edge.model.description import HeadSchema

HEADS = {
    **BOX_HEADS,
    "centroids": Head(centroids.CentroidsHead, centroids.check,
        centroids.CentroidsDecoder, "detection", centroids.describe),
    "segmentation": Head(segmentation.SegmentationHead, segmentation.check,
        segmentation.SegmentationDecoder, "segmentation", segmentation.describe),
    "prototype_masks": Head(instance_masks.PrototypeMasksHead, instance_masks.check,
        instance_masks.PrototypeMasksDecoder, "instances", instance_masks.describe),
    "box_masks": Head(box_masks.BoxMasksHead, box_masks.check,
        box_masks.BoxMasksDecoder, "instances", box_masks.describe),
    "keypoints": Head(keypoints.KeypointsHead, keypoints.check,
        keypoints.KeypointsDecoder, "pose", keypoints.describe),
    "classes": Head(classes.ClassesHead, classes.check,
        classes.ClassesDecoder, "classification", classes.describe),
    "anomaly": Head(anomaly.AnomalyHead, anomaly.check,
        anomaly.AnomalyDecoder, "anomaly", anomaly.describe, reads_input=True),
}  # fmt: skip


def task_of(head: HeadSchema) -> str:
    """Return what a head is for, a key of `edge.tasks.TASKS`."""
    return HEADS[head.kind].task


# The field of a record that holds a head of any kind.
if TYPE_CHECKING:
    AnyHead = HeadSchema
else:
    AnyHead = Union[tuple(row.schema for row in HEADS.values())]  # noqa: UP007 - of a table
