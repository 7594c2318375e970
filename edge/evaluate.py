"""Measure a detector against COCO annotations, on the very path that the board runs."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.detector import Detector
from edge.errors import DependencyError, ModelError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.detections import Detections
    from edge.manifest import ModelFile

# Measured on 100 images of COCO with SSDLite-MobileNetV2, int8: mAP50-95 is 0.30378 at 0.001, 0.01
# and 0.02 alike, 0.30278 at 0.05, 0.262 at 0.3; and with 256 candidates 0.30376, with 500 to 2000
# 0.30378.
SCORE_THRESHOLD = 0.01
MAX_CANDIDATES = 500
# Most detections of an image that COCO counts. Source: pycocotools, `Params.maxDets`.
MAX_DETECTIONS = 100
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


@dataclass(frozen=True, slots=True)
class Truth:
    """COCO annotations, read and indexed.

    Attributes:
        path: Where they came from.
        coco: The `pycocotools.coco.COCO` of them.
    """

    path: Path
    coco: Any

    def image_ids(self, paths: Iterable[Path]) -> list[int]:
        """Return the image id of each file, by file name.

        Raises:
            SourceError: A file is not annotated.
        """
        by_name = {Path(image["file_name"]).name: image["id"] for image in self.coco.imgs.values()}
        ids = []
        for path in paths:
            if path.name not in by_name:
                raise SourceError(
                    f"{path}: expected an image that {self.path} annotates, found none of that "
                    "name; choose the folder that belongs to the annotations"
                )
            ids.append(int(by_name[path.name]))
        return ids


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Which class id is which category, by name.

    Attributes:
        category_ids: For each class id its category id, or `None`.
        labels_without_category: Labels whose detections can't be judged and are left out.
        categories_without_label: Categories that the model can't find and is not judged by.
    """

    category_ids: tuple[int | None, ...]
    labels_without_category: tuple[str, ...]
    categories_without_label: tuple[str, ...]

    def known_ids(self) -> list[int]:
        """Return the ids of the categories that both sides know, ascending."""
        return sorted({number for number in self.category_ids if number is not None})


def open_detector(file: ModelFile, *, threads: int = 1) -> Detector:
    """Return a detector that keeps what mAP counts, down to the low scores."""
    return Detector(
        file,
        threads=threads,
        score_threshold=SCORE_THRESHOLD,
        max_candidates=MAX_CANDIDATES,
        max_detections=MAX_DETECTIONS,
    )


def read_truth(path: Path) -> Truth:
    """Read a COCO annotation file.

    Raises:
        SourceError: It cannot be read, or is no COCO `instances` file.
        DependencyError: pycocotools is not installed.
    """
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except ValueError as error:
        raise SourceError(f"{path}: expected COCO annotations, found no JSON: {error}") from error
    keys = ("images", "annotations", "categories")
    missing = [key for key in keys if not isinstance(fields, dict) or key not in fields]
    if missing:
        raise SourceError(
            f"{path}: expected COCO annotations, found no {missing[0]!r} in it; give the "
            "instances file of the data set"
        )
    return Truth(path, _indexed(fields))


def match_labels(labels: Sequence[str], truth: Truth) -> LabelMatch:
    """Match labels with category names, letter for letter.

    Raises:
        ModelError: None matches.
    """
    by_name = {category["name"]: int(key) for key, category in truth.coco.cats.items()}
    match = LabelMatch(
        category_ids=tuple(by_name.get(label) for label in labels),
        labels_without_category=tuple(label for label in labels if label and label not in by_name),
        categories_without_label=tuple(sorted(by_name.keys() - set(labels))),
    )
    if not match.known_ids():
        raise ModelError(
            f"{truth.path}: none of its categories ({', '.join(sorted(by_name)[:5])} …) is a label "
            f"of the model ({', '.join(filter(None, labels[:5]))} …); give annotations with the "
            "model's own names"
        )
    return match


def coco_results(
    detector: Detector, images: Iterable[tuple[int, NDArray[np.uint8]]], match: LabelMatch
) -> list[dict[str, Any]]:
    """Run the detector and return its detections in COCO's result format.

    Args:
        detector: Of `open_detector`.
        images: (image id, `(H, W, 3)` uint8 B G R); taken one by one.
        match: Detections of labels without a category are left out.
    """
    rows: list[dict[str, Any]] = []
    for image_id, image in images:
        rows.extend(_rows(image_id, detector.detect(image), match))
    return rows


def judge(
    truth: Truth,
    results: list[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    all_areas: bool = True,
) -> Any:  # noqa: ANN401
    """Return a `COCOeval` that has matched the results with the truth, image by image.

    Args:
        truth: The annotations.
        results: Of `coco_results`.
        image_ids: Images to judge by, those without objects or results among them.
        category_ids: Categories to judge by.
        all_areas: Also apart for small, medium and large objects; four times the work.
    """
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415 - not a board's dependency

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth.coco, _loaded(truth, results), "bbox")
        evaluation.params.imgIds = sorted(image_ids)
        evaluation.params.catIds = sorted(category_ids)
        if not all_areas:
            evaluation.params.areaRng = evaluation.params.areaRng[:1]
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
        evaluation.evaluate()
    return evaluation


def coco_map(
    truth: Truth,
    results: list[dict[str, Any]],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
) -> dict[str, float]:
    """Return the `METRICS` of the results, in [0, 1]; one that no true object bears on is left out.

    Args:
        truth: The annotations.
        results: Of `coco_results`.
        image_ids: Images to judge by, those without objects or results among them.
        category_ids: Categories to judge by, such as `LabelMatch.known_ids`.

    Source: Lin et al. 2014, "Microsoft COCO", computed by pycocotools.
    """
    evaluation = judge(truth, results, image_ids=image_ids, category_ids=category_ids)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(evaluation.stats[index]) for name, index in METRICS.items()}
    return {name: value for name, value in values.items() if value != NO_TRUTH}


def _rows(image_id: int, found: Detections, match: LabelMatch) -> Iterable[dict[str, Any]]:
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


def _indexed(fields: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        from pycocotools.coco import COCO  # noqa: PLC0415 - not a board's dependency
    except ImportError as error:
        raise DependencyError(
            "pycocotools is needed to measure accuracy; type: pip install 'edge-vision[converter]'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = fields
        coco.createIndex()
    return coco


def _loaded(truth: Truth, results: list[dict[str, Any]]) -> Any:  # noqa: ANN401
    # loadRes reads the first result to learn their kind, and fails on none.
    if results:
        return truth.coco.loadRes(results)
    return _indexed({**truth.coco.dataset, "annotations": []})
