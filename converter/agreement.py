"""How far two models agree on one image: detections found again, masks that overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.bill import ImageRow
from edge.results.detections import Detections

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.results.class_map import ClassMap

# A float detection at or above this score must be found again ...
FLOAT_SCORE = 0.5
# ... by one of the same class, this near, whose score int8 may have pushed below 0.5 but not far.
MIN_IOU = 0.9
QUANTIZED_SCORE = 0.25


def agree(path: Path, wanted: Detections | ClassMap, found: Detections | ClassMap) -> ImageRow:
    """Return how far what the quantised model found is what the float model wanted.

    Args:
        path: Of the image.
        wanted: Seen by the float model; detections down to `QUANTIZED_SCORE`.
        found: Seen by the quantised model, of the same type.
    """
    if isinstance(wanted, Detections) and isinstance(found, Detections):
        return _agree_on_detections(path, wanted, found)
    if isinstance(wanted, Detections) or isinstance(found, Detections):
        raise TypeError(f"expected two of a type, found {type(wanted)} and {type(found)}")
    is_blank = len(np.unique(wanted.class_ids)) == 1
    return ImageRow(path, mask_iou(wanted.class_ids, found.class_ids), is_blank=is_blank)


def _agree_on_detections(path: Path, wanted: Detections, found: Detections) -> ImageRow:
    is_sure = wanted.scores >= FLOAT_SCORE
    expected = int(is_sure.sum())
    matched = count_matches(wanted, found, is_sure)
    is_new = found.scores >= FLOAT_SCORE
    return ImageRow(
        path,
        matched / expected if expected else 1.0,
        matched=matched,
        expected=expected,
        extra=int(is_new.sum()) - count_matches(found, wanted, is_new),
        is_blank=not expected,
    )


def count_matches(wanted: Detections, found: Detections, selected: NDArray[np.bool_]) -> int:
    """Return how many of the selected `wanted` have a partner of their own among `found`."""
    is_free = np.ones(len(found), bool)
    count = 0
    for index in np.flatnonzero(selected):
        ious = box_ious(wanted.boxes[index], found.boxes)  # (N,)
        ious[(found.class_ids != wanted.class_ids[index]) | ~is_free] = 0
        if len(ious) and ious.max() >= MIN_IOU:
            is_free[ious.argmax()] = False
            count += 1
    return count


def box_ious(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the IoU of one xyxy box with each of `(N, 4)`; 0 where both are empty."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1, dtype=np.float64)  # (N,)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1, dtype=np.float64)
    united = areas + float((box[2:] - box[:2]).prod(dtype=np.float64)) - shared
    ious: NDArray[np.float64] = np.zeros(len(boxes))
    np.divide(shared, united, out=ious, where=united > 0)
    return ious


def mask_iou(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the mean IoU over the classes that either of two class maps of a shape shows."""
    ids = np.union1d(first, second)
    pairs = np.searchsorted(ids, first) * len(ids) + np.searchsorted(ids, second)
    counts = np.bincount(pairs.reshape(-1), minlength=len(ids) ** 2).reshape(len(ids), -1)  # (C, C)
    shared = np.diag(counts)
    united = counts.sum(axis=0) + counts.sum(axis=1) - shared
    return float((shared / united).mean())
