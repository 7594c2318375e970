"""Run one classifier over images of known classes, and count which it names first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from edge.decode.classes import ClassesHead
from edge.draw.lettering import write_line_inplace
from edge.errors import SourceError
from edge.evaluation.evaluation import Confusion, Evaluation, Mistakes, TimedModel, worst_first
from edge.evaluation.images import reduced
from edge.evaluation.truth import match_labels
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import FrameTruth
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.classes import Classes
    from edge.results.observation import Result

TOP = 5
OTHER = "(none of these)"
NOTE = "the best classes count whatever their score"
RIGHT, WRONG = (90, 200, 60), (60, 60, 255)  # B, G, R
NOT_FOUND = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RankSample:
    """Of each image, how many classes the model names before the right one.

    Attributes:
        ranks: `(N,)` int64, 0 where it is named first.
        is_judged: `(N,)`; the model knows the class of the image.
        tops: Of each metric, how many names count.
    """

    ranks: NDArray[np.int64]
    is_judged: NDArray[np.bool_]
    tops: tuple[int, ...]

    @property
    def image_count(self) -> int:
        """N."""
        return len(self.ranks)

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the share of the chosen images whose class is among the first 1, first 5."""
        ranks = self.ranks[chosen][self.is_judged[chosen]]
        if not len(ranks):
            return np.full(len(self.tops), np.nan)
        return np.array([(ranks < top).mean() for top in self.tops])


def open_classifier(file: ModelFile, *, threads: int = 1) -> LoadedModel:
    """Return a classifier that names its best classes whatever their score."""
    head = file.description.head_as(ClassesHead)
    described = replace(file.description, head=head.replace(top=TOP))
    thresholds = described.thresholds(score=0.0)
    return load_model(replace(file, description=described), threads=threads, thresholds=thresholds)


class ClassRun:
    """One classifier's answers on a set of images, gathered one by one.

    Attributes:
        NOTE: How the figures are counted.
        KEYS: Colour, B G R, to what it means on a drawn image.
        match: Which of the model's labels is which class of the set.
    """

    NOTE: ClassVar = NOTE
    KEYS: ClassVar = {RIGHT: "what it is", WRONG: "what it was taken for"}

    def __init__(self, file: ModelFile, truth: FrameTruth, *, threads: int = 1) -> None:
        self._file = file
        self._truth = truth
        self.match = match_labels(file.description.labels, dict(enumerate(truth.names)), truth.path)
        self._model = TimedModel(partial(open_classifier, file, threads=threads))
        self._said: dict[int, list[tuple[int, float]]] = {}

    def see(self, key: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the stages on one image and keep what it was taken for; or keep what was found."""
        seen = cast("Classes", self._model.run(image) if found is None else found)
        self._said[key] = list(zip(seen.class_ids.tolist(), seen.scores.tolist(), strict=True))

    def evaluation(self, keys: Sequence[int], class_ids: Sequence[int]) -> Evaluation:
        """Judge what was said of images that were seen, of these classes of the set."""
        true = np.array([self._truth.labels[key] for key in keys])
        is_judged = np.isin(true, class_ids)
        if not is_judged.any():
            raise SourceError(
                f"{self._truth.path}: expected images of the model's classes, found none; name the "
                f"folders as the labels are{self._truth.faults.reason()}"
            )
        labels = self._file.description.labels
        tops = (1, TOP) if len(labels) > TOP else (1,)
        sample = RankSample(np.array([self._rank(key) for key in keys]), is_judged, tops)
        counts = self._counts(keys, class_ids)
        main = sample.values(np.arange(len(keys))).tolist()
        metrics = {f"top-{top}": value for top, value in zip(tops, main, strict=True)}
        rows = counts.sum(axis=1)[:-1]
        recalls = counts.diagonal()[:-1] / np.maximum(rows, 1)
        precisions = counts.diagonal()[:-1] / np.maximum(counts.sum(axis=0)[:-1], 1)
        names = tuple(self._truth.names[number] for number in class_ids)
        return Evaluation(
            file=self._file,
            task="classification",
            images=len(keys),
            objects=int(is_judged.sum()),
            metrics=metrics | {"mean recall of the classes": float(recalls[rows > 0].mean())},
            classes={
                name: {
                    "recall": float(recall),
                    "precision": float(precision),
                    "objects": int(count),
                }
                for name, recall, precision, count in zip(
                    names, recalls, precisions, rows, strict=True
                )
            },
            curves={},
            confusion=Confusion((*names, OTHER), counts, "images, by the best class"),
            stages_ms=self._model.times_ms(),
            sample=sample,
            mistakes=worst_first(
                self._mistake(key) for key, judged in zip(keys, is_judged, strict=True) if judged
            ),
            notes=(*self.match.lines(), NOTE),
        )

    def _rank(self, key: int) -> int:
        said = [self.match.category_ids[class_id] for class_id, _ in self._said[key]]
        true = self._truth.labels[key]
        return said.index(true) if true in said else NOT_FOUND

    def _counts(self, keys: Sequence[int], class_ids: Sequence[int]) -> NDArray[np.int64]:
        """Return `(C + 1, C + 1)`, the last for what is none of the classes."""
        at = {number: place for place, number in enumerate(class_ids)}
        counts = np.zeros((len(at) + 1, len(at) + 1), np.int64)
        for key in keys:
            if (true := self._truth.labels[key]) in at:
                said = self.match.category_ids[self._said[key][0][0]] if self._said[key] else None
                counts[at[true], at.get(-1 if said is None else said, len(at))] += 1
        return counts

    def _mistake(self, key: int) -> Mistakes:
        """Return what an image was taken for; the surer, the worse."""
        if self._rank(key) == 0 or not self._said[key]:
            return Mistakes(key, int(not self._said[key]), "nothing was said")
        class_id, score = self._said[key][0]
        true = self._truth.names[self._truth.labels[key]]
        text = f"{true}, taken for {self._file.description.labels[class_id]} ({score:.2f})"
        return Mistakes(key, max(1, round(1000 * score)), text)

    def drawn(self, key: int, image: NDArray[np.uint8], side_px: int | None) -> NDArray[np.uint8]:
        """Return an image with what it is and what it was taken for, reduced to a longer side."""
        small: NDArray[np.uint8] = np.array(reduced(image, side_px))
        write_line_inplace(small, self._truth.names[self._truth.labels[key]], color=RIGHT)
        for class_id, score in self._said[key][:1]:
            text = f"{self._file.description.labels[class_id]} {score:.2f}"
            write_line_inplace(small, text, color=WRONG, line=1)
        return small
