"""Run one detector over labelled images, and judge what it found."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge.draw.jpeg import reduced
from edge.evaluation import box_mistakes
from edge.evaluation.evaluation import Evaluation, TimedModel
from edge.evaluation.judge import BOXES, POINTS, curves, judge, result_rows, summarize
from edge.evaluation.label_files import library
from edge.evaluation.matching import METRICS, collect
from edge.evaluation.truth import match_labels
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from edge.evaluation.matching import Matches
    from edge.evaluation.truth import BoxTruth
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.detections import Detections
    from edge.results.observation import Result

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


class BoxRun:
    """One detector's findings on a labelled set, gathered image by image.

    Attributes:
        NOTE: How the figures are counted.
        KEYS: Colour, B G R, to what it means on a drawn image.
        TASK: A key of `edge.evaluation.measuring.JUDGED`.
        PREFIX: What the names of the metrics begin with.
        by: What is compared.
        match: Which of the model's labels is which category.
        results: What was found, in COCO's result format.
    """

    NOTE = NOTE
    KEYS = box_mistakes.KEYS
    TASK, PREFIX = "detection", ""
    by = BOXES

    def __init__(self, file: ModelFile, truth: BoxTruth, *, threads: int = 1) -> None:
        library("pycocotools.cocoeval")  # before any image is run
        self._names = truth.category_names()
        self.match = match_labels(file.description.labels, self._names, truth.path)
        self.results: list[dict[str, Any]] = []
        self._file = file
        self._truth = truth
        self._model = TimedModel(partial(self.open, file, threads=threads))
        self._matches: dict[int, list[box_mistakes.Pair]] = {}

    @staticmethod
    def open(file: ModelFile, *, threads: int = 1) -> LoadedModel:
        """Return a detector that keeps what mAP counts, down to the low scores."""
        thresholds = file.description.thresholds(
            score=SCORE_THRESHOLD, max_detections=MAX_DETECTIONS, max_candidates=MAX_CANDIDATES
        )
        return load_model(file, threads=threads, thresholds=thresholds)

    def see(self, image_id: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the four stages on one image and keep what it found; or keep what was found."""
        seen = cast("Detections", self._model.run(image) if found is None else found)
        known = [self.match.category_ids[number] is not None for number in seen.class_ids.tolist()]
        self.results += self._rows(image_id, image.shape[:2], seen[np.array(known, bool)])

    def _rows(self, image_id: int, shape: tuple[int, ...], found: Any) -> Iterable[dict[str, Any]]:  # noqa: ANN401, ARG002 - of the task's kind
        """Return what has a category, on an image of `(H, W)`, in COCO's result format."""
        return result_rows(image_id, found, self.match)

    def evaluation(self, image_ids: Sequence[int], category_ids: Sequence[int]) -> Evaluation:
        """Judge what was found on images that were seen, by these categories."""
        chosen: dict[str, Any] = {"image_ids": image_ids, "category_ids": category_ids}
        threshold = self._file.description.score_threshold
        judged = judge(self._truth, self.results, **chosen, by=self.by)
        metrics, found = summarize(judged), curves(judged)
        brief = self._brief(judged, metrics)
        names = {key: name for key, name in self._names.items() if key in category_ids}
        counts = cast("Matches", brief.sample).objects.sum(axis=1).tolist()
        objects = dict(zip(sorted(names), counts, strict=True))
        # What users would see, by the manifest's score threshold.
        self._matches = box_mistakes.match_boxes(
            self._truth, self.results, **chosen, score_threshold=threshold,
            key=(BOXES if self.by.name == POINTS.name else self.by).key,
        )  # fmt: skip
        return replace(
            brief,
            classes={
                names[key]: {name: row[name] for name in ("AP50-95", "AP50")}
                | {"objects": objects[key]}
                for key, row in found.items()
            },
            curves={
                names[key]: {name: row[name] for name in ("precision", "scores")}
                for key, row in found.items()
            },
            confusion=box_mistakes.confusion(self._matches, names, score_threshold=threshold),
            mistakes=box_mistakes.worst(self._matches),
        )

    def brief(self, image_ids: Sequence[int], category_ids: Sequence[int]) -> Evaluation:
        """Judge by what a bootstrap draws from alone, in a third of the time of `evaluation`."""
        chosen: dict[str, Any] = {"image_ids": image_ids, "category_ids": category_ids}
        return self._brief(judge(self._truth, self.results, **chosen, all_areas=False, by=self.by))

    def _brief(self, judged: Any, metrics: Mapping[str, float] | None = None) -> Evaluation:  # noqa: ANN401 - a COCOeval
        sample = collect(judged)
        images = sample.objects.shape[1]
        if metrics is None:
            values = sample.values(np.arange(images)).tolist()
            metrics = dict(zip(METRICS, values, strict=True))
        return Evaluation(
            file=self._file,
            task=self.TASK,
            images=images,
            objects=int(sample.objects.sum()),
            metrics={self.PREFIX + name: value for name, value in metrics.items()},
            stages_ms=self._model.times_ms(),
            sample=sample,
            notes=(*self.match.lines(), self.NOTE),
        )

    def drawn(
        self, image_id: int, image: NDArray[np.uint8], side_px: int | None
    ) -> NDArray[np.uint8]:
        """Return an image with what `evaluation` found wrong on it, reduced to a longer side."""
        # Reduced first, so that the letters stay large enough to be read.
        small = reduced(image, side_px)
        scale = small.shape[1] / image.shape[1]
        box_mistakes.draw_inplace(small, self._matches[image_id], self._names, scale=scale)
        return small
