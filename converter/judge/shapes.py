"""How alike two instances are by their masks, and two poses by their points."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from converter.judge.agreement import match_boxes
from edge.decode.keypoints import COCO_KEYPOINTS
from edge.evaluation.judge import POINTS
from edge.evaluation.label_files import library
from edge.evaluation.object_runs import OTHER_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.judge.agreement import BoxAgreement, Place
    from edge.results.instances import Instances, Mask
    from edge.results.poses import Poses

# Of a box: a person's area in COCO, on the mean. Source: Ultralytics, `OKS` of `utils/metrics.py`.
BODY_RATIO = 0.53
# From which score on the reference is sure of a point; where it is of none, all count.
SURE_POINT = 0.5


def match_instances(
    wanted: Sequence[Instances], found: Sequence[Instances], *, sure: float
) -> BoxAgreement:
    """Match instances by the IoU of their masks."""

    def alike(one: Place, other: Place) -> float:
        return mask_iou(found[one[0]].masks[one[1]], wanted[other[0]].masks[other[1]])

    named = "mean mask IoU of what is found again"
    return match_boxes(wanted, found, sure=sure, similarity=alike, named=named)


def match_poses(wanted: Sequence[Poses], found: Sequence[Poses], *, sure: float) -> BoxAgreement:
    """Match poses by the similarity of their keypoints."""

    def alike(one: Place, other: Place) -> float:
        pose = wanted[other[0]]
        return keypoint_similarity(
            found[one[0]].points[one[1]], pose.points[other[1]], pose.boxes[other[1]]
        )

    named = "mean keypoint similarity (OKS) of what is found again"
    return match_boxes(wanted, found, sure=sure, similarity=alike, named=named)


def mask_iou(first: Mask, second: Mask) -> float:
    """Return the IoU of two masks, on a grid twice as fine as the finer of theirs.

    Of two that cover nothing it is that of the boxes that they lie in.
    """
    boxes = np.array([first.box, second.box])  # (2, 4)
    near, far = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    shared = boxes[:, 2:].min(axis=0) - boxes[:, :2].max(axis=0)
    if (shared <= 0).any():
        return 0.0
    if not (first.cells.any() or second.cells.any()):
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        return float(shared.prod() / (areas.sum() - shared.prod()))
    cells = np.array([mask.cells.shape[::-1] for mask in (first, second)])
    counts = np.ceil(2 * (far - near) / ((boxes[:, 2:] - boxes[:, :2]) / cells).min(axis=0))
    x, y = (
        low + (np.arange(int(count)) + 0.5) * (high - low) / count
        for low, high, count in zip(near, far, counts, strict=True)
    )
    a, b = _covered(first, x, y), _covered(second, x, y)
    return float((a & b).sum() / max(1, (a | b).sum()))


def _covered(mask: Mask, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which places `(rows, columns)` a mask covers."""
    x1, y1, x2, y2 = mask.box
    rows, columns = mask.cells.shape
    places = (
        np.floor((values - low) / (high - low) * count).astype(int)
        for values, low, high, count in ((y, y1, y2, rows), (x, x1, x2, columns))
    )
    (at_y, at_x), found = places, np.zeros((len(y), len(x)), bool)
    inside = np.ix_((at_y >= 0) & (at_y < rows), (at_x >= 0) & (at_x < columns))
    found[inside] = mask.cells[np.ix_(at_y[inside[0][:, 0]], at_x[inside[1][0]])]
    return found


@functools.cache
def _sigmas(count: int) -> NDArray[np.float64]:
    """Return `(K,)`, how far people who annotate a point differ, of the square root of the area."""
    if count != len(COCO_KEYPOINTS):
        return np.full(count, OTHER_SIGMA)
    params = library("pycocotools.cocoeval").Params(iouType=POINTS.name)
    return np.asarray(params.kpt_oks_sigmas)


def keypoint_similarity(
    found: NDArray[np.float32], wanted: NDArray[np.float32], box: NDArray[np.float32]
) -> float:
    """Return the object keypoint similarity of points `(K, 3)`, in [0, 1].

    Args:
        found: x, y, score.
        wanted: Likewise; the sure ones count.
        box: Of the wanted, xyxy.

    Source: COCO 2017, "Keypoint Evaluation".
    """
    sigmas = _sigmas(len(wanted))
    area = max(1.0, BODY_RATIO * float((box[2:] - box[:2]).prod()))
    squares = ((found[:, :2] - wanted[:, :2]).astype(np.float64) ** 2).sum(axis=1)  # (K,)
    # pycocotools takes NaN, which a damaged float output gives, for a match.
    alike = np.nan_to_num(np.exp(-squares / (2 * area * (2 * sigmas) ** 2)))
    counts = wanted[:, 2] >= SURE_POINT
    return float(alike[counts].mean() if counts.any() else alike.mean())
