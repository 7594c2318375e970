"""Which anchor or cell learns which object: targets of one image, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.train.anchors import shape_iou
from edge.results.detections import pairwise_iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.decode.yolo import YoloGrid

    Array = NDArray[np.float32]

# Source: Liu et al. 2016, section 2.2, "Matching strategy".
MATCHED_IOU = 0.5
# Objects of an image that a YOLO learns from, the largest first; COCO's fullest image has 93.
MOST_OBJECTS = 128
# Anchors beside the best one that learn an object, at such an IoU of the shapes.
# Source: the public `yolov4-tiny.cfg`, `iou_thresh`.
ALSO_IOU, MOST_ANCHORS = 0.5, 3
UNMATCHED, IGNORED = -1, -2


@dataclass(frozen=True, slots=True)
class Labels:
    """What is true of one image, in pixels of the input.

    Attributes:
        boxes: `(N, 4)` float32 xyxy.
        class_ids: `(N,)` int32.
        is_crowd: `(N,)`: neither learnt nor punished.
        mask: `(H, W)` uint8 class ids; 255 is left out.
        class_id: Of the whole image.
    """

    boxes: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    class_ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    is_crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    mask: NDArray[np.uint8] | None = None
    class_id: int = 0


def matched(
    labels: Labels, *, anchors: Array, scales: Array, size_wh: tuple[int, int]
) -> dict[str, NDArray[Any]]:
    """Return for each anchor the offsets and the class that it should give.

    Each object takes its best anchor, the surest pairs first; then each anchor that is left takes
    the object that it overlaps most, from an IoU of 0.5 on.

    Args:
        labels: Of an image.
        anchors: `(A, 4)` (cy, cx, h, w), shares of the input.
        scales: Of (ty, tx, th, tw): inverse variances.
        size_wh: Of the input, pixels.

    Returns:
        `offsets` `(A, 4)` float32, and `classes` `(A,)` int32, -1 for none, -2 for ignored.

    Source: Liu et al. 2016, section 2.2 and eq. 2.
    """
    classes = np.full(len(anchors), UNMATCHED, np.int32)
    offsets = np.zeros((len(anchors), 4), np.float32)
    sides = np.array([*size_wh, *size_wh], np.float32)
    boxes = labels.boxes / sides
    half = anchors[:, 2:] / 2
    corners = np.concatenate([anchors[:, :2] - half, anchors[:, :2] + half], axis=1)[
        :, [1, 0, 3, 2]
    ]
    overlap = pairwise_iou(boxes, corners)  # (N, A)
    crowd = labels.is_crowd
    if crowd.any():
        classes[overlap[crowd].max(axis=0) >= MATCHED_IOU] = IGNORED
    kept = np.flatnonzero(~crowd)
    if not len(kept):
        return {"offsets": offsets, "classes": classes}
    overlap = overlap[kept]
    owner = np.where(overlap.max(axis=0) >= MATCHED_IOU, overlap.argmax(axis=0), -1)
    left = overlap.copy()
    for _ in range(min(left.shape)):
        row, column = np.unravel_index(left.argmax(), left.shape)
        if left[row, column] <= 0:
            break
        owner[column] = row
        left[row], left[:, column] = -1, -1
    taken = owner >= 0
    classes[taken] = labels.class_ids[kept][owner[taken]]
    box, anchor = boxes[kept][owner[taken]], anchors[taken]
    centre_yx = (box[:, [1, 0]] + box[:, [3, 2]]) / 2
    side_yx = box[:, [3, 2]] - box[:, [1, 0]]
    offsets[taken, :2] = (centre_yx - anchor[:, :2]) / anchor[:, 2:]
    offsets[taken, 2:] = np.log(np.maximum(side_yx, 1e-6) / anchor[:, 2:])
    offsets *= scales
    return {"offsets": offsets, "classes": classes}


def yolo_cells(labels: Labels, *, grids: Sequence[YoloGrid]) -> dict[str, NDArray[Any]]:
    """Return an image's objects and which anchors of which grids learn them.

    The anchor whose shape is most like the object's, of all grids, learns it, in the cell that
    holds its centre; so do others that are nearly as like.

    Returns:
        `boxes` `(M, 4)`, `ids` `(M,)` and `owners` `(M, K, 2)` of `converter.train.yolo_loss.yolo`.

    Source: Redmon and Farhadi 2018, section 2.1; several anchors: Bochkovskiy et al. 2020,
    section 3.4.
    """
    boxes = np.zeros((MOST_OBJECTS, 4), np.float32)
    ids = np.full(MOST_OBJECTS, UNMATCHED, np.int32)
    owners = np.full((MOST_OBJECTS, MOST_ANCHORS, 2), UNMATCHED, np.int32)
    found, class_ids = labels.boxes[~labels.is_crowd], labels.class_ids[~labels.is_crowd]
    sides = found[:, 2:] - found[:, :2]
    order = np.argsort(-sides.prod(axis=1), kind="stable")[:MOST_OBJECTS]
    count = len(order)
    boxes[:count], ids[:count] = found[order], class_ids[order]
    every = np.array([(n, k) for n, grid in enumerate(grids) for k in range(len(grid.anchors_px))])
    anchors = np.array([grids[n].anchors_px[k] for n, k in every], np.float64)
    like = shape_iou(sides[order].astype(np.float64), anchors)  # (M, anchors)
    best = np.argsort(-like, axis=1, kind="stable")[:, :MOST_ANCHORS]
    near = np.take_along_axis(like, best, axis=1) >= ALSO_IOU
    near[:, 0] = True
    owners[:count, : best.shape[1]] = np.where(near[..., None], every[best], UNMATCHED)
    return {"boxes": boxes, "ids": ids, "owners": owners}


def fitted_mask(labels: Labels) -> dict[str, NDArray[Any]]:
    """Return an image's mask as the loss takes it, `(H, W)` int32."""
    if labels.mask is None:
        raise ValueError("expected a mask, got none")
    return {"mask": labels.mask.astype(np.int32)}
