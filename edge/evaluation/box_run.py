"""Run one detector over labelled images, and judge what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from edge.evaluation import box_mistakes
from edge.evaluation.evaluation import Evaluation
from edge.evaluation.judge import curves, judge, result_rows, summarize
from edge.evaluation.label_files import library
from edge.evaluation.matching import collect
from edge.evaluation.stage_times import TimedModel
from edge.evaluation.truth import match_labels
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.evaluation.box_mistakes import ImageMatches
    from edge.evaluation.truth import BoxTruth
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.detections import Detections

# Measured on 100 images of COCO with SSDLite-MobileNetV2, int8: mAP50-95 is 0.30378 at 0.001, 0.01
# and 0.02 alike, 0.30278 at 0.05, 0.262 at 0.3; and with 256 candidates 0.30376, with 500 to 2000
# 0.30378.
SCORE_THRESHOLD = 0.01
MAX_CANDIDATES = 500
# Most detections of an image that COCO counts. Source: pycocotools, `Params.maxDets`.
MAX_DETECTIONS = 100
NOTE = (
    f"decode and suppress kept scores from {SCORE_THRESHOLD:g} on, as mAP counts them; at a "
    "board's threshold they have less to do"
)


def open_detector(file: ModelFile, *, threads: int = 1) -> LoadedModel:
    """Return a detector that keeps what mAP counts, down to the low scores."""
    thresholds = file.description.thresholds(
        score=SCORE_THRESHOLD, max_detections=MAX_DETECTIONS, max_candidates=MAX_CANDIDATES
    )
    return load_model(file, threads=threads, thresholds=thresholds)


class BoxRun:
    """One detector's findings on a labelled set, gathered image by image.

    Args:
        file: The model.
        truth: The annotations.
        threads: Of the interpreter.

    Attributes:
        file: The model.
        match: Which of the model's labels is which category.
        results: What was found, in COCO's result format.

    Raises:
        ModelError: The runtime refuses the model, or it knows none of the categories.
        DependencyError: pycocotools is not installed.
    """

    def __init__(self, file: ModelFile, truth: BoxTruth, *, threads: int = 1) -> None:
        library("pycocotools.cocoeval")  # before any image is run
        self.match = match_labels(file.description.labels, truth.category_names(), truth.path)
        self.results: list[dict[str, Any]] = []
        self.file = file
        self._truth = truth
        self._model = TimedModel(open_detector(file, threads=threads))

    def see(self, image_id: int, image: NDArray[np.uint8]) -> None:
        """Run the four stages on one image and keep what it found."""
        self.results.extend(
            result_rows(image_id, cast("Detections", self._model.run(image)), self.match)
        )

    def known_ids(self) -> list[int]:
        """Return the ids of the categories that it can be judged by."""
        return self.match.known_ids()

    def evaluation(self, image_ids: Sequence[int], category_ids: Sequence[int]) -> Evaluation:
        """Judge what was found.

        Args:
            image_ids: Images that were seen.
            category_ids: Such as `known_ids`, or what two models both know.
        """
        truth, threshold = self._truth, self.file.description.score_threshold
        judged = judge(truth, self.results, image_ids=image_ids, category_ids=category_ids)
        metrics = summarize(judged)
        sample = collect(judged)
        names = {key: name for key, name in truth.category_names().items() if key in category_ids}
        matches = self.matches(image_ids, category_ids)
        per_category = curves(judged)
        return Evaluation(
            file=self.file,
            task="detection",
            images=len(image_ids),
            objects=sum(int(category.objects.sum()) for category in sample.categories),
            metrics=metrics,
            classes={
                names[number]: {
                    "AP50-95": curve.average_precision,
                    "AP50": curve.average_precision_50,
                    "objects": int(category.objects.sum()),
                }
                for number, category in zip(sorted(names), sample.categories, strict=True)
                if (curve := per_category.get(number))
            },
            curves={names[number]: curve for number, curve in per_category.items()},
            confusion=box_mistakes.confusion(matches, names, score_threshold=threshold),
            stages=self._model.times(),
            sample=sample,
            mistakes=box_mistakes.worst(matches),
            notes=(*self.match.lines(), NOTE),
        )

    def matches(
        self, image_ids: Sequence[int], category_ids: Sequence[int]
    ) -> dict[int, ImageMatches]:
        """Match what users would see, by the manifest's score threshold, with the truth."""
        return box_mistakes.match_boxes(
            self._truth,
            self.results,
            image_ids=image_ids,
            category_ids=category_ids,
            score_threshold=self.file.description.score_threshold,
        )
