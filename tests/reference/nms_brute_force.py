"""Greedy suppression by the book: two loops over boxes, every step one float32 operation.

Shares no code with `edge.decode.suppress`. Source: TensorFlow Lite, `detection_postprocess.cc`,
which computes areas, intersection and their quotient in float32; in another precision ties would
fall otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ZERO = np.float32(0)


def area(box: Sequence[np.float32]) -> np.float32:
    """Return the area of an xyxy box; below 0 if it is inside out along one axis."""
    x_min, y_min, x_max, y_max = box
    return (x_max - x_min) * (y_max - y_min)


def iou(first: Sequence[np.float32], second: Sequence[np.float32]) -> np.float32:
    """Return intersection over union of two xyxy boxes, 0 if one of them has no area."""
    if area(first) <= 0 or area(second) <= 0:
        return ZERO
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    intersection = max(width, ZERO) * max(height, ZERO)
    return intersection / (area(first) + area(second) - intersection)


def survivors(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int32],
    *,
    iou_threshold: float,
    max_detections: int,
) -> list[int]:
    """Return the rows that greedy suppression keeps, by falling score, then by rising row."""
    rows = [tuple(box) for box in boxes]  # of float32 scalars
    threshold = np.float32(iou_threshold)
    kept: list[int] = []
    for row in sorted(range(len(scores)), key=lambda row: (-scores[row], row)):
        if len(kept) == max_detections:
            break
        rivals = (other for other in kept if class_ids[other] == class_ids[row])
        if not any(iou(rows[row], rows[other]) > threshold for other in rivals):
            kept.append(row)
    return kept
