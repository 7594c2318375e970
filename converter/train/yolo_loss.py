"""The loss of YOLO's grids: complete IoU, objectness, classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.decode.yolo import YoloGrid, YoloHead

# Source: Redmon and Farhadi 2018, section 2.1: what overlaps well and is not the best is not
# punished; 0.7 as the public `yolov3-tiny.cfg` has it (`ignore_thresh`).
IGNORED_IOU = 0.7
# Of a raw side: beyond, e^t is larger than any input.
MOST_EXPONENT = 8.0
TINY = 1e-7


def binary(logits: Any, wanted: Any) -> Any:  # noqa: ANN401 - tensors
    """Return the binary cross-entropy of each logit, without overflow."""
    from keras import ops  # noqa: PLC0415 - 3 s, for who trains

    return ops.maximum(logits, 0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))


def yolo(
    found: Mapping[str, Any],
    batch: Mapping[str, Any],
    *,
    head: YoloHead,
    classes: int,
    size_wh: tuple[int, int],
) -> tuple[Any, dict[str, Any]]:
    """Return 1 - CIoU of matched boxes, objectness and class cross-entropy, each a mean a match.

    Args:
        found: Raw grids, by their roles.
        batch: `boxes` (B, M, 4) xyxy, pixels of the input; `ids` (B, M) int32, -1 for no object;
            `owners` (B, M, K, 2) int32: grid and anchor that learn it, -1 for none.
        head: Grids and activations.
        classes: Their number.
        size_wh: Of the input.

    Source: Redmon and Farhadi 2018, section 2.1 and 2.2; CIoU: Zheng et al. 2020, "Distance-IoU
    Loss", eq. 7 to 11, as Bochkovskiy et al. 2020, "YOLOv4", use it.
    """
    from keras import ops  # noqa: PLC0415 - as above

    parts: dict[str, Any] = dict.fromkeys(("boxes", "objectness", "classes"), 0.0)
    there = ops.cast(batch["ids"] >= 0, "float32")
    repeat = batch["owners"].shape[2]
    wanted = ops.repeat(batch["boxes"], repeat, axis=1)  # (B, M * K, 4)
    hot = ops.one_hot(ops.repeat(ops.maximum(batch["ids"], 0), repeat, axis=1), classes)
    owners = ops.reshape(batch["owners"], (-1, wanted.shape[1], 2))
    matches = ops.maximum(ops.sum(ops.cast(owners[..., 0] >= 0, "float32")), 1.0)
    centres = (wanted[..., :2] + wanted[..., 2:]) / (2 * np.array(size_wh, np.float32))
    for number, grid in enumerate(head.grids):
        raw, objectness, scores = _unpacked(found, grid, classes=classes)
        boxes = decoded(raw, grid, sides=head.sides, size_wh=size_wh)
        is_own = ops.cast(owners[..., 0] == number, "float32")
        cells = np.array([raw.shape[2], raw.shape[1]])
        cell = ops.clip(ops.cast(centres * cells, "int32"), 0, cells - 1)
        rows = (cell[..., 1] * raw.shape[2] + cell[..., 0]) * raw.shape[3] + owners[..., 1]
        rows = ops.where(owners[..., 0] == number, rows, 0)  # (B, M * K)
        picked = ops.take_along_axis(boxes, rows[..., None], axis=1)
        parts["boxes"] += ops.sum((1 - ciou(picked, wanted)) * is_own) / matches
        said = ops.take_along_axis(scores, rows[..., None], axis=1)
        entropy = (
            ops.sum(binary(said, hot), axis=-1)
            if head.classes == "sigmoid"
            else -ops.sum(hot * ops.log_softmax(said), axis=-1)
        )
        parts["classes"] += ops.sum(entropy * is_own) / matches
        hit = ops.max(ops.one_hot(rows, objectness.shape[1]) * is_own[..., None], axis=1)
        overlap = iou(ops.stop_gradient(boxes)[:, :, None], batch["boxes"][:, None])
        near = ops.max(overlap * there[:, None], axis=2)
        counted = ops.maximum(hit, ops.cast(near < IGNORED_IOU, "float32"))
        parts["objectness"] += ops.sum(binary(objectness, hit) * counted) / matches
    return parts["boxes"] + parts["objectness"] + parts["classes"], parts


def _unpacked(found: Mapping[str, Any], grid: YoloGrid, *, classes: int) -> tuple[Any, Any, Any]:
    """Return a grid's raw boxes (B, H, W, anchors, 4), objectness (B, N) and scores (B, N, C)."""
    from keras import ops  # noqa: PLC0415 - as above

    _, high, wide, _ = found[grid.boxes].shape
    each = len(grid.anchors_px)
    if grid.boxes == grid.objectness:
        whole = ops.reshape(found[grid.boxes], (-1, high, wide, each, 5 + classes))
        raw, objectness, scores = whole[..., :4], whole[..., 4], whole[..., 5:]
    else:
        raw = ops.reshape(found[grid.boxes], (-1, high, wide, each, 4))
        objectness, scores = found[grid.objectness], found[grid.scores]
    count = high * wide * each
    return raw, ops.reshape(objectness, (-1, count)), ops.reshape(scores, (-1, count, classes))


def decoded(raw: Any, grid: YoloGrid, *, sides: str, size_wh: tuple[int, int]) -> Any:  # noqa: ANN401
    """Return boxes (B, N, 4), xyxy pixels of the input, of raw ones (B, H, W, anchors, 4).

    Source: as `edge.decode.yolo` has it.
    """
    from keras import ops  # noqa: PLC0415 - as above

    _, high, wide, each, _ = raw.shape
    rows, columns = np.indices((high, wide), np.float32)
    corner = np.stack([columns, rows], axis=-1)[:, :, None]  # (H, W, 1, 2)
    scale, anchors = grid.scale_xy, np.array(grid.anchors_px, np.float32)
    centre = corner + scale * ops.sigmoid(raw[..., :2]) - (scale - 1) / 2
    centre = centre * (np.array(size_wh, np.float32) / np.array([wide, high], np.float32))
    if sides == "exp":
        side = ops.exp(ops.minimum(raw[..., 2:], MOST_EXPONENT)) * anchors
    else:
        side = (2 * ops.sigmoid(raw[..., 2:])) ** 2 * anchors
    boxes = ops.concatenate([centre - side / 2, centre + side / 2], axis=-1)
    return ops.reshape(boxes, (-1, high * wide * each, 4))


def iou(first: Any, second: Any) -> Any:  # noqa: ANN401
    """Return the IoU of boxes xyxy whose shapes broadcast."""
    from keras import ops  # noqa: PLC0415 - as above

    low, high = (
        bend(first[..., part], second[..., part])
        for bend, part in ((ops.maximum, slice(0, 2)), (ops.minimum, slice(2, 4)))
    )
    overlap = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    areas = [
        ops.prod(ops.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)
    ]
    return overlap / (areas[0] + areas[1] - overlap + TINY)


def ciou(first: Any, second: Any) -> Any:  # noqa: ANN401
    """Return the complete IoU: less for distant centres and for other aspects.

    Source: Zheng et al. 2020, eq. 7, 9, 10 and 11.
    """
    from keras import ops  # noqa: PLC0415 - as above

    overlap = iou(first, second)
    low = ops.minimum(first[..., :2], second[..., :2])
    high = ops.maximum(first[..., 2:], second[..., 2:])
    centres = [(box[..., :2] + box[..., 2:]) / 2 for box in (first, second)]
    far = ops.sum((centres[0] - centres[1]) ** 2, axis=-1)
    far = far / (ops.sum((high - low) ** 2, axis=-1) + TINY)
    angles = []
    for box in (first, second):
        side = box[..., 2:] - box[..., :2]
        angles.append(ops.arctan2(side[..., 0], side[..., 1] + TINY))
    aspect = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    weight = ops.stop_gradient(aspect / (1 - overlap + aspect + TINY))
    return overlap - far - weight * aspect
