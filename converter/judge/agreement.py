"""How far what one model sees is from what another sees, on any choice of images.

Of detectors ``1 - AP``: the mean over IoU 0.50:0.05:0.85 of the average precision of one model with
the other's sure detections as the truth, one curve for all classes. Of segmenters ``1 - mIoU`` over
the cells that do not lie at a border of the other's masks.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from converter.judge.bill import ImageRow
from converter.judge.kinds import KINDS
from edge.evaluation.judge import judge
from edge.evaluation.mask_folder import VOID
from edge.evaluation.mask_run import PixelSample, pixel_confusion
from edge.evaluation.matching import Matches, average_precision, collect
from edge.evaluation.truth import BoxTruth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edge.results.class_map import ClassMap
    from edge.results.detections import Detections
    from edge.results.observation import Result

    # An image, and a row of what was seen on it.
    Place = tuple[int, int]
    Similarity = Callable[[Place, Place], float]

# Above it lies how boxes tremble, which costs next to no mAP: over 36 good and damaged conversions
# of three detectors the distance correlates by 0.97 with the mAP50-95 lost, up to 0.95 by 0.94.
TOP_IOU = 0.85
# Of the score from which the reference is sure: what is found again may be that much less sure.
FOUND_RATIO = 0.5
# COCOeval passes over a truth whose area lies outside 0..1e10: finding it or not does not count.
NOT_COUNTED = -1.0
AT_50 = 0
# A cell on either side of a border flips for nothing. Either way the distance correlates by 0.93 to
# 0.94 with what two portrait nets lose by the masks of another net; but without borders fine and
# faulty lie further apart, 0.75 and 1.8 times the noise floor, with them 0.84 and 1.6.
BORDER = np.ones((3, 3), np.uint8)


class Agreement(Protocol):
    """What a model has in common with a reference on a set of images."""

    @property
    def objects(self) -> int:
        """Return how many things the reference is sure of."""

    @property
    def figures(self) -> Mapping[str, float]:
        """Return what is told beside the distance, by its name."""

    def distance(self, chosen: NDArray[np.int64]) -> float:
        """Return how far they are apart on the chosen images, in [0, 1]; NaN where nothing is."""

    def rows(self, paths: Sequence[Path]) -> tuple[ImageRow, ...]:
        """Return the same for each image."""


@dataclass(frozen=True, slots=True)
class BoxAgreement:
    """Detections of a model matched with the sure ones of the reference.

    Attributes:
        matches: Of a single category that stands for all, up to `TOP_IOU`.
        sure: Score from which a detection counts.
        figures: What is told beside the distance, by its name.
    """

    matches: Matches
    sure: float
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def objects(self) -> int:
        """Return the sure detections of the reference."""
        return int(self.matches.objects.sum())

    def distance(self, chosen: NDArray[np.int64]) -> float:
        """Return one minus the average precision."""
        return 1 - float(np.mean(average_precision(self.matches, chosen)))

    def rows(self, paths: Sequence[Path]) -> tuple[ImageRow, ...]:
        """Return a row an image."""
        found, count = self.matches, len(paths)
        found_again = found.is_hit[AT_50] & (found.scores >= FOUND_RATIO * self.sure)
        is_new = found.is_miss[AT_50] & (found.scores >= self.sure)
        matched, extra = (
            np.bincount(found.images[flags], minlength=count) for flags in (found_again, is_new)
        )
        expected = found.objects.sum(axis=0)
        distances = [self.distance(np.array([index])) for index in range(len(paths))]
        return tuple(
            ImageRow(
                path,
                float(np.nan_to_num(distances[index])),
                matched=int(matched[index]),
                expected=int(expected[index]),
                extra=int(extra[index]),
                is_blank=not expected[index],
            )
            for index, path in enumerate(paths)
        )


@dataclass(frozen=True, slots=True)
class MaskAgreement:
    """Cells of a model's class maps counted against the reference's."""

    sample: PixelSample
    figures: Mapping[str, float] = field(default_factory=dict)  # nothing more

    @property
    def objects(self) -> int:
        """Return the images on which the reference shows more than one class."""
        return int(self._shows_something().sum())

    def distance(self, chosen: NDArray[np.int64]) -> float:
        """Return one minus the mean IoU over the classes that the reference shows."""
        return 1 - float(self.sample.values(chosen)[0])

    def rows(self, paths: Sequence[Path]) -> tuple[ImageRow, ...]:
        """Return a row an image."""
        shows = self._shows_something()
        return tuple(
            ImageRow(path, self.distance(np.array([index])), is_blank=not shows[index])
            for index, path in enumerate(paths)
        )

    def _shows_something(self) -> NDArray[np.bool_]:
        return np.asarray((self.sample.counts[:, 1] > 0).sum(axis=1) > 1)  # (N,)


def match(
    wanted: Sequence[Result], found: Sequence[Result], *, task: str, sure: float
) -> Agreement:
    """Match what was found with what was wanted, image by image and class by class.

    Args:
        wanted: Of the reference, an entry an image.
        found: Of the other model, likewise.
        task: A key of `KINDS`.
        sure: Score from which on what the reference sees must be found: finding what lies below it
            again, or not, does not count.
    """
    module, name = KINDS[task].match
    made: Agreement = getattr(importlib.import_module(module), name)(wanted, found, sure=sure)
    return made


def match_masks(
    wanted: Sequence[ClassMap],
    found: Sequence[ClassMap],
    *,
    sure: float,  # noqa: ARG001 - a map says one class a cell
) -> MaskAgreement:
    """Count the cells of class maps, those that lie at a border of the wanted ones left out.

    A map of another size is laid over the wanted one, each cell the nearest.
    """
    classes = 1 + max(int(seen.class_ids.max()) for seen in (*wanted, *found))
    counts = []
    for first, second in zip(wanted, found, strict=True):
        ids = first.class_ids
        judged = np.where(cv2.erode(ids, BORDER) == cv2.dilate(ids, BORDER), ids, VOID)
        theirs = second.class_ids
        if theirs.shape != ids.shape:
            larger = cv2.resize(theirs, ids.shape[::-1], interpolation=cv2.INTER_NEAREST)
            theirs = np.asarray(larger, np.uint8)
        table = pixel_confusion(judged, theirs, classes=classes)  # (C, C)
        counts.append([np.diag(table), table.sum(axis=1), table.sum(axis=0)])
    return MaskAgreement(PixelSample(np.array(counts)))


def match_boxes(
    wanted: Sequence[Detections],
    found: Sequence[Detections],
    *,
    sure: float,
    similarity: Similarity | None = None,
    named: str = "",
) -> BoxAgreement:
    """Match detections with the sure ones that were wanted, as pycocotools matches them.

    Args:
        wanted: Of the reference.
        found: Of the other.
        sure: As `match`.
        similarity: Of what was found and what was wanted, each an image and a row there, in [0, 1],
            in place of the IoU of the boxes.
        named: What it is called; its mean over what is found again is told then.
    """
    ids = range(1, len(wanted) + 1)
    rows, results = (
        [row for key, seen in zip(ids, side, strict=True) for row in _fields(key, seen)]
        for side in (wanted, found)
    )
    for number, row in enumerate(rows, start=1):
        row |= {"id": number, "iscrowd": 0, "area": 1.0 if row["score"] >= sure else NOT_COUNTED}
    # Without any, one that nothing shows.
    categories = sorted({row["category_id"] for row in (*rows, *results)}) or [0]
    fields = {
        "images": [{"id": key} for key in ids],
        "annotations": rows,
        "categories": [{"id": number, "name": str(number)} for number in categories],
    }
    truth = BoxTruth(Path("the reference"), fields, {})

    def alike(one: dict[str, Any], other: dict[str, Any]) -> float:
        key = one["image_id"] - 1
        return similarity((key, one["row"]), (key, other["row"])) if similarity else math.nan

    judged = judge(
        truth, results, image_ids=ids, category_ids=categories, all_areas=False,
        similarity=alike if similarity else None,
    )  # fmt: skip
    matches = collect(judged)
    low = matches.iou_thresholds < TOP_IOU + 0.01
    pooled = replace(
        matches,
        categories=np.zeros_like(matches.categories),
        is_hit=matches.is_hit[low],
        is_miss=matches.is_miss[low],
        objects=matches.objects.sum(axis=0, keepdims=True),
        iou_thresholds=matches.iou_thresholds[low],
    )
    return BoxAgreement(pooled, sure, {named: _mean_of_found(judged)} if named else {})


def _mean_of_found(judged: Any) -> float:  # noqa: ANN401
    """Return the mean similarity of what counts and is found again, from 0.5 on."""
    values = []
    for row in filter(None, judged.evalImgs):
        table = judged.ious[row["image_id"], row["category_id"]]
        ids = [one["id"] for one in judged._gts[row["image_id"], row["category_id"]]]  # noqa: SLF001
        for place, number in enumerate(row["dtMatches"][AT_50]):
            if number and not row["dtIgnore"][AT_50][place]:
                values.append(table[place][ids.index(number)])
    return float(np.mean(values)) if values else math.nan


def _fields(key: int, seen: Detections) -> list[dict[str, Any]]:
    boxes = seen.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    columns = zip(boxes.tolist(), seen.scores.tolist(), seen.class_ids.tolist(), strict=True)
    return [
        {"image_id": key, "bbox": box, "score": score, "category_id": class_id, "row": row}
        for row, (box, score, class_id) in enumerate(columns)
    ]
