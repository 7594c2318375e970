"""COCO's metrics by pycocotools, which is the judge; nothing here scores by itself."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.evaluation.label_files import library

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.evaluation.truth import BoxTruth, LabelMatch
    from edge.results.detections import Detections

# Index into `COCOeval.stats`. Source: pycocotools, `COCOeval.summarize`.
METRICS = {
    "mAP50-95": 0,
    "mAP50": 1,
    "mAP75": 2,
    "mAP50-95 small": 3,
    "mAP50-95 medium": 4,
    "mAP50-95 large": 5,
}
NO_TRUTH = -1.0
# Place of IoU 0.5 among `COCOeval.params.iouThrs`, of all sizes, and of 100 detections an image.
AT_50, ALL_AREAS, MOST_DETECTIONS = 0, 0, -1


@dataclass(frozen=True, slots=True)
class Curve:
    """Precision over recall of one category at an IoU of 0.5.

    Attributes:
        average_precision: Mean over IoU 0.5..0.95, in [0, 1].
        average_precision_50: At IoU 0.5.
        precision: At the recalls 0, 0.01 … 1.
        scores: Score threshold that gives each of them; 0 beyond the last recall.
    """

    average_precision: float
    average_precision_50: float
    precision: tuple[float, ...]
    scores: tuple[float, ...]


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


# The truth, the results, and four choices of what to judge by.
def judge(  # noqa: PLR0913
    truth: BoxTruth,
    results: Sequence[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    all_areas: bool = True,
    iou_threshold: float | None = None,
    use_categories: bool = True,
) -> Any:  # noqa: ANN401
    """Return a `COCOeval` that has matched the results with the truth, image by image.

    Args:
        truth: The annotations.
        results: Of `result_rows`.
        image_ids: Images to judge by, those without objects or results among them.
        category_ids: Categories to judge by.
        all_areas: Also apart for small, medium and large objects; four times the work.
        iou_threshold: Only this one; `None` takes COCO's ten.
        use_categories: A detection matches objects of its own category only.

    Raises:
        DependencyError: pycocotools is not installed.
    """
    judge_type = library("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        coco = _indexed(truth.fields)
        evaluation = judge_type(coco, _loaded(coco, results), "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.params.catIds = sorted(category_ids)
        evaluation.params.useCats = int(use_categories)
        if iou_threshold is not None:
            evaluation.params.iouThrs = np.array([iou_threshold])
        if not all_areas:
            evaluation.params.areaRng = evaluation.params.areaRng[:1]
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    return evaluation


def summarize(evaluation: Any) -> dict[str, float]:  # noqa: ANN401
    """Return the `METRICS` of a `judge` of all areas, in [0, 1]; without object, without metric.

    Source: Lin et al. 2014, "Microsoft COCO", computed by pycocotools.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(evaluation.stats[index]) for name, index in METRICS.items()}
    return {name: value for name, value in values.items() if value != NO_TRUTH}


def curves(evaluation: Any) -> dict[int, Curve]:  # noqa: ANN401
    """Return category id to curve, after `summarize`; categories without objects are left out."""
    # (T, R, K): IoU thresholds, recalls, categories.
    precision = evaluation.eval["precision"][:, :, :, ALL_AREAS, MOST_DETECTIONS]
    scores = evaluation.eval["scores"][:, :, :, ALL_AREAS, MOST_DETECTIONS]
    return {
        category_id: Curve(
            average_precision=float(np.mean(precision[:, :, column])),
            average_precision_50=float(np.mean(precision[AT_50, :, column])),
            precision=tuple(precision[AT_50, :, column].tolist()),
            scores=tuple(scores[AT_50, :, column].clip(0).tolist()),
        )
        for column, category_id in enumerate(evaluation.params.catIds)
        if (precision[:, :, column] != NO_TRUTH).all()
    }


def _indexed(fields: dict[str, Any]) -> Any:  # noqa: ANN401
    coco = library("pycocotools.coco").COCO()
    coco.dataset = fields
    coco.createIndex()
    return coco


def _loaded(coco: Any, results: Sequence[dict[str, Any]]) -> Any:  # noqa: ANN401
    # loadRes reads the first result to learn their kind, and fails on none; it writes into the rows
    # it is given.
    if results:
        return coco.loadRes([dict(row) for row in results])
    return _indexed({**coco.dataset, "annotations": []})
