"""Run one autoencoder over good images and bad ones, and judge whether its errors tell them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from edge.decode.anomaly import AnomalyHead
from edge.draw import anomaly
from edge.errors import SourceError
from edge.evaluation.evaluation import Confusion, Evaluation, Mistakes, TimedModel, worst_first
from edge.evaluation.images import reduced
from edge.evaluation.truth import LabelMatch
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import FrameTruth
    from edge.model.model_file import ModelFile
    from edge.results.anomaly import Anomaly
    from edge.results.observation import Result

# Names of the folder of what is as it should be; every other is of something bad.
GOOD = ("good", "normal", "ok")
NOTE = "what a folder named good, normal or ok holds is good, and all else bad"


@dataclass(frozen=True, slots=True)
class ErrorSample:
    """The error of each image.

    Attributes:
        errors: `(N,)`.
        is_bad: `(N,)`.
    """

    errors: NDArray[np.float64]
    is_bad: NDArray[np.bool_]

    @property
    def image_count(self) -> int:
        """N."""
        return len(self.errors)

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(1,)`, the area under the ROC curve; NaN where all are good, or all bad."""
        return np.array([auroc(self.errors[chosen], self.is_bad[chosen])])


def auroc(errors: NDArray[np.float64], is_bad: NDArray[np.bool_]) -> float:
    """Return how often a bad one has a greater error than a good one, ties counting half.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".
    """
    bad, good = errors[is_bad], np.sort(errors[~is_bad])
    if not len(bad) or not len(good):
        return float("nan")
    below = np.searchsorted(good, bad, side="left") + np.searchsorted(good, bad, side="right")
    return float(below.sum() / (2 * len(bad) * len(good)))


class AnomalyRun:
    """One autoencoder's errors on a set of images, gathered one by one.

    Attributes:
        NOTE: How the figures are counted.
        KEYS: Colour, B G R, to what it means on a drawn image.
        match: Which class is which; there are two, and every model knows them.
    """

    NOTE: ClassVar = NOTE
    KEYS: ClassVar = {anomaly.RED: "where the error lies"}

    def __init__(self, file: ModelFile, truth: FrameTruth, *, threads: int = 1) -> None:
        self._file = file
        self._truth = truth
        self._threshold = file.description.head_as(AnomalyHead).threshold
        self.match = LabelMatch((0, 1))
        good = [name.lower() in GOOD for name in truth.names]
        if all(good) or not any(good):
            raise SourceError(
                f"{truth.path}: expected a folder named good and one of another name, found "
                f"{', '.join(truth.names)}; name the folder of what is as it should be good"
            )
        self._model = TimedModel(partial(load_model, file, threads=threads))
        self._errors: dict[int, float] = {}

    def see(self, key: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the stages on one image and keep its error; or keep what was found."""
        seen = cast("Anomaly", self._model.run(image) if found is None else found)
        self._errors[key] = seen.error

    def evaluation(self, keys: Sequence[int], class_ids: Sequence[int]) -> Evaluation:  # noqa: ARG002 - both classes are always judged
        """Judge the errors of images that were seen."""
        errors = np.array([self._errors[key] for key in keys])
        names = np.array([self._truth.names[self._truth.labels[key]] for key in keys])
        is_bad = np.array([name.lower() not in GOOD for name in names])
        is_flagged = errors >= self._threshold
        counts = np.zeros((2, 2), np.int64)
        np.add.at(counts, (is_bad.astype(int), is_flagged.astype(int)), 1)
        sample = ErrorSample(errors, is_bad)
        good, bad = counts.sum(axis=1)
        return Evaluation(
            file=self._file,
            task="anomaly",
            images=len(keys),
            objects=int(bad),
            metrics={
                "AUROC": auroc(errors, is_bad),
                "bad ones found at the threshold": counts[1, 1] / max(1, bad),
                "good ones passed at the threshold": counts[0, 0] / max(1, good),
            },
            classes={
                name: {
                    "told as anomalies": float(is_flagged[names == name].mean()),
                    "objects": int((names == name).sum()),
                }
                for name in dict.fromkeys(names.tolist())
            },
            curves={},
            confusion=Confusion(
                ("good", "bad"), counts, f"images, by the threshold {self._threshold:.4g}"
            ),
            stages_ms=self._model.times_ms(),
            sample=sample,
            mistakes=worst_first(
                self._mistake(key, name)
                for key, name, wrong in zip(keys, names, is_flagged != is_bad, strict=True)
                if wrong
            ),
            notes=(NOTE,),
        )

    def _mistake(self, key: int, name: str) -> Mistakes:
        """Return what an image was taken for; the farther from the threshold, the worse."""
        ratio = self._errors[key] / self._threshold
        text = f"{name}: error {self._errors[key]:.4g}, the threshold is {self._threshold:.4g}"
        return Mistakes(key, 1 + min(10**6, round(1000 * abs(ratio - 1))), text)

    def drawn(self, key: int, image: NDArray[np.uint8], side_px: int | None) -> NDArray[np.uint8]:  # noqa: ARG002 - the image is enough
        """Return an image with its heat map, reduced to a longer side."""
        seen = cast("Anomaly", self._model.run(image))
        small: NDArray[np.uint8] = np.array(reduced(image, side_px))
        anomaly.draw_inplace(small, seen, self._file.description)
        return small
