"""COCO's metrics by pycocotools, which is the judge; and the same of a choice of images.

pycocotools matches detections with the truth image by image and only then accumulates, so a set
that a bootstrap draws needs no new matching. Its own `accumulate` takes 0.3 s; `average_precision`
a few milliseconds, for the same numbers.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.evaluation.label_files import library

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

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
IOU_50 = 0.5
AT_50, ALL_AREAS, MOST_DETECTIONS = 0, 0, -1


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


def judge(
    truth: BoxTruth,
    results: Sequence[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    all_areas: bool = True,
) -> Any:  # noqa: ANN401
    """Return a `COCOeval` that has matched the results with the truth, image by image.

    Args:
        truth: The annotations.
        results: Of `result_rows`.
        image_ids: Images to judge by, those without objects or results among them.
        category_ids: Categories to judge by.
        all_areas: Also apart for small, medium and large objects; four times the work.
    """
    judge_type = library("pycocotools.cocoeval").COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        coco = _indexed(truth.fields)
        # loadRes reads the first result to learn their kind, and fails on none; it writes into the
        # rows it is given.
        found = coco.loadRes([dict(row) for row in results]) if results else None
        found = found or _indexed({**truth.fields, "annotations": []})
        evaluation = judge_type(coco, found, "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.params.catIds = sorted(category_ids)
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


@dataclass(frozen=True, slots=True)
class CategoryMatches:
    """One category's detections on all images, and whether they were right.

    Attributes:
        counts: `(N,)` detections of each image, which stand in this order below.
        scores: `(D,)`.
        is_hit: `(T, D)`, a match with a counted object, for each IoU threshold.
        is_miss: `(T, D)`; a detection that matched what does not count is neither.
        objects: `(N,)` counted objects of each image.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    is_hit: NDArray[np.bool_]
    is_miss: NDArray[np.bool_]
    objects: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matches:
    """All categories' matches at the IoU thresholds `(T,)`, such as 0.5..0.95, of N images.

    Attributes:
        recalls: `(R,)`, where precision is read off.
    """

    categories: tuple[CategoryMatches, ...]
    iou_thresholds: NDArray[np.float64]
    recalls: NDArray[np.float64]
    image_count: int

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(2,)`, mAP50-95 and mAP50 on the chosen images; NaN where they show no object."""
        found = average_precision(self, chosen)  # (T,)
        return np.array([found.mean(), found[np.isclose(self.iou_thresholds, IOU_50)].mean()])


def collect(evaluation: Any) -> Matches:  # noqa: ANN401
    """Take the matches out of a `COCOeval` that has evaluated; of its area ranges the first."""
    params, images = evaluation.params, evaluation.evalImgs
    count = len(params.imgIds)
    # Category by category, in it area range by area range, in it image by image.
    starts = range(0, len(images), count * len(params.areaRng))
    return Matches(
        tuple(_category(images[start : start + count], params) for start in starts),
        np.asarray(params.iouThrs, np.float64),
        np.asarray(params.recThrs, np.float64),
        count,
    )


def average_precision(
    matches: Matches, chosen: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return `(T,)`, the mean average precision at each IoU threshold over the chosen images.

    The mean is over the categories that have an object in them; NaN where none has.

    Args:
        matches: Of `collect`.
        chosen: Image numbers, ascending; one that stands twice counts twice.

    Source: pycocotools, `COCOeval.accumulate`: precision made falling from the right, read off at
    101 recalls, 0 beyond the last.
    """
    order = np.asarray(chosen, np.int64)
    found = [
        _precision(category, order, matches.recalls).mean(axis=1)
        for category in matches.categories
        if category.objects[order].sum()
    ]
    nothing = np.full((1, len(matches.iou_thresholds)), np.nan)
    out: NDArray[np.float64] = np.mean(found or nothing, axis=0)
    return out


def _category(images: Sequence[dict[str, Any] | None], params: Any) -> CategoryMatches:  # noqa: ANN401
    """Join what stands of each image, which is `None` without objects and detections."""
    none: dict[str, Any] = {
        "dtScores": [], "gtIgnore": [],
        **dict.fromkeys(("dtMatches", "dtIgnore"), np.zeros((len(params.iouThrs), 0))),
    }  # fmt: skip
    rows = [image or none for image in images]
    most = params.maxDets[-1]

    def joined(key: str) -> NDArray[Any]:
        return np.concatenate([np.asarray(row[key])[..., :most] for row in rows], axis=-1)

    is_matched, is_counted = joined("dtMatches") > 0, joined("dtIgnore") == 0
    return CategoryMatches(
        np.array([min(most, len(row["dtScores"])) for row in rows]),
        joined("dtScores"),
        is_matched & is_counted,
        ~is_matched & is_counted,
        np.array([np.sum(np.asarray(row["gtIgnore"]) == 0) for row in rows]),
    )


def _precision(
    category: CategoryMatches, chosen: NDArray[np.int64], recalls: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return `(T, R)`, the precision at each recall."""
    counts = category.counts[chosen]
    firsts, ends = (np.cumsum(category.counts) - category.counts)[chosen], np.cumsum(counts)
    columns = np.arange(ends[-1]) + np.repeat(firsts - (ends - counts), counts)  # (D',)
    # Stable, as pycocotools sorts: of equal scores the earlier image goes first. Weights in place
    # of repeated images take 3.3 ms for 8.3, but int8 scores tie, and an image drawn twice must
    # come whole before it comes again: they moved mAP of a draw by up to 0.0014.
    columns = columns[np.argsort(-category.scores[columns], kind="stable")]
    out = np.zeros((len(category.is_hit), len(recalls)))
    if not len(columns):
        return out
    hits = np.cumsum(category.is_hit[:, columns], axis=1, dtype=np.float64)  # (T, D')
    misses = np.cumsum(category.is_miss[:, columns], axis=1, dtype=np.float64)
    recall = hits / category.objects[chosen].sum()
    precision = hits / (hits + misses + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for row in range(len(out)):
        where = np.searchsorted(recall[row], recalls, side="left")  # (R,)
        reached = where < len(columns)
        out[row, reached] = precision[row, where[reached]]
    return out
