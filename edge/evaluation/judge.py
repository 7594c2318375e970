"""COCO's metrics by pycocotools, which is the judge; nothing here scores by itself."""

from __future__ import annotations

import contextlib
import io
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge.evaluation.label_files import library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.evaluation.truth import BoxTruth, LabelMatch
    from edge.results.detections import Detections

    Similarity = Callable[[dict[str, Any], dict[str, Any]], float]

# Index into `COCOeval.stats`. Source: pycocotools, `COCOeval.summarize`.
METRICS = {
    "mAP50-95": 0,
    "mAP50": 1,
    "mAP75": 2,
    "mAP50-95 small": 3,
    "mAP50-95 medium": 4,
    "mAP50-95 large": 5,
}
# Of keypoints there are no small objects.
POINT_METRICS = {
    "mAP50-95": 0,
    "mAP50": 1,
    "mAP75": 2,
    "mAP50-95 medium": 3,
    "mAP50-95 large": 4,
}
NO_TRUTH = -1.0
# Place of IoU 0.5 among `COCOeval.params.iouThrs`, of all sizes, and of 100 detections an image.
AT_50, ALL_AREAS, MOST_DETECTIONS = 0, 0, -1


class Compared(NamedTuple):
    """What objects and detections are compared by.

    Attributes:
        name: As pycocotools has it.
        key: Of a row, what holds it.
        sigmas: Of each keypoint, how far people differ on it; none for COCO's seventeen.
    """

    name: str
    key: str
    sigmas: tuple[float, ...] = ()


BOXES, MASKS = Compared("bbox", "bbox"), Compared("segm", "segmentation")
POINTS = Compared("keypoints", "keypoints")
SHAPES = {each.key for each in (BOXES, MASKS, POINTS)}


def result_rows(image_id: int, found: Detections, match: LabelMatch) -> Iterable[dict[str, Any]]:
    """Yield an image's detections in COCO's result format, those without a category left out."""
    for box, score, class_id in zip(found.boxes, found.scores, found.class_ids, strict=True):
        category_id = match.category_ids[class_id]
        if category_id is None:
            continue
        x_min, y_min, x_max, y_max = map(float, box)
        yield {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
            "score": float(score),
        }


# What is true and what was found, which of it, and how they are matched.
def judge(  # noqa: PLR0913
    truth: BoxTruth,
    results: Sequence[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    all_areas: bool = True,
    by: Compared = BOXES,
    similarity: Similarity | None = None,
) -> Any:  # noqa: ANN401
    """Return a `COCOeval` that has matched the results with the truth, image by image.

    Args:
        truth: The annotations.
        results: Of `result_rows`.
        image_ids: Images to judge by, those without objects or results among them.
        category_ids: Categories to judge by.
        all_areas: Also apart for small, medium and large objects; four times the work.
        by: What is compared.
        similarity: Of a result and a row of the truth, in [0, 1], in place of the IoU of boxes.
    """
    judge_type = library("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        coco = _indexed(truth.fields)
        # loadRes reads the first result to learn their kind, and fails on none; it writes into the
        # rows it is given.
        found = coco.loadRes([_row_of(row, by.key) for row in results]) if results else None
        found = found or _indexed({**truth.fields, "annotations": []})
        evaluation = judge_type(coco, found, by.name)
        if by.sigmas:
            evaluation.params.kpt_oks_sigmas = np.array(by.sigmas)
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.params.catIds = sorted(category_ids)
        if not all_areas:
            evaluation.params.areaRng = evaluation.params.areaRng[:1]
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        if similarity:
            evaluation.computeIoU = partial(_table, evaluation=evaluation, similarity=similarity)
        evaluation.evaluate()
    return evaluation


def _row_of(row: dict[str, Any], compared: str) -> dict[str, Any]:
    """Return a result with what is compared alone: a box beside it would be taken for that."""
    return {key: row[key] for key in row if key == compared or key not in SHAPES}


def _table(image_id: int, category_id: int, *, evaluation: Any, similarity: Similarity) -> Any:  # noqa: ANN401
    """Return `(D, G)`, the results by falling score, as `COCOeval.computeIoU` has them."""
    true, found = (
        rows[image_id, category_id]
        for rows in (evaluation._gts, evaluation._dts)  # noqa: SLF001 - what it replaces reads them
    )
    best = sorted(found, key=lambda row: -row["score"])[: evaluation.params.maxDets[-1]]
    return np.array([[similarity(one, other) for other in true] for one in best]).reshape(
        len(best), len(true)
    )


def summarize(evaluation: Any) -> dict[str, float]:  # noqa: ANN401
    """Return the `METRICS` of a `judge` of all areas, in [0, 1]; without object, without metric.

    Source: Lin et al. 2014, "Microsoft COCO", computed by pycocotools.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    metrics = POINT_METRICS if evaluation.params.iouType == POINTS.name else METRICS
    values = {name: float(evaluation.stats[index]) for name, index in metrics.items()}
    return {name: value for name, value in values.items() if value != NO_TRUTH}


def curves(evaluation: Any) -> dict[int, dict[str, Any]]:  # noqa: ANN401
    """Return category id to what it scores, after `summarize`; without objects it is left out.

    Returns:
        `AP50-95` and `AP50`, in [0, 1]; at an IoU of 0.5 `precision` at the recalls 0, 0.01 … 1,
        and `scores`, the threshold that gives each of them, 0 beyond the last recall.
    """
    # (T, R, K): IoU thresholds, recalls, categories.
    precision, scores = (
        evaluation.eval[key][:, :, :, ALL_AREAS, MOST_DETECTIONS] for key in ("precision", "scores")
    )
    return {
        category_id: {
            "AP50-95": float(np.mean(precision[:, :, column])),
            "AP50": float(np.mean(precision[AT_50, :, column])),
            "precision": precision[AT_50, :, column].tolist(),
            "scores": scores[AT_50, :, column].clip(0).tolist(),
        }
        for column, category_id in enumerate(evaluation.params.catIds)
        if (precision[:, :, column] != NO_TRUTH).all()
    }


def _indexed(fields: dict[str, Any]) -> Any:  # noqa: ANN401
    coco = library("pycocotools.coco").COCO()
    coco.dataset = fields
    coco.createIndex()
    return coco
