"""Run one classifier or autoencoder over images of known classes, and count what it says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from edge.decode.classes import ClassesHead
from edge.draw.jpeg import reduced
from edge.errors import SourceError
from edge.evaluation.class_folder import GOOD, is_good
from edge.evaluation.evaluation import Confusion, Evaluation, Mistakes, TimedModel, worst_first
from edge.evaluation.truth import LabelMatch, match_labels
from edge.model.loaded import load_model
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import ClassTruth
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.anomaly import Anomaly
    from edge.results.classes import Classes
    from edge.results.observation import Result

    Key = tuple[int, int, int]

TOP = 5
OTHER = "(another label)"
SURE = 100


@dataclass(frozen=True, slots=True)
class HitSample:
    """Of each image `(N, M)`, whether its class was said, first and among the best few."""

    hits: NDArray[np.bool_]

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(M,)`, the share of the chosen images on which it was."""
        return np.asarray(self.hits[chosen].mean(axis=0))


@dataclass(frozen=True, slots=True)
class ErrorSample:
    """Errors `(N,)` of images, and which of these show an anomaly."""

    errors: NDArray[np.float64]
    is_odd: NDArray[np.bool_]

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(1,)`, the share of the pairs of which the anomaly has the greater error.

        Of equal errors half counts; NaN without a pair. Source: Mann and Whitney 1947.
        """
        errors, is_odd = self.errors[chosen], self.is_odd[chosen]
        good, odd = np.sort(errors[~is_odd]), errors[is_odd]
        if not (good.size and odd.size):
            return np.array([np.nan])
        below = sum(np.searchsorted(good, odd, side=side).sum() for side in ("left", "right"))
        return np.array([below / (2 * good.size * odd.size)])


class WholeRun:
    """What one model says of whole images of a set.

    Attributes:
        NOTE: How the figures are counted.
        KEYS: Colour, B G R, to what it means on a drawn image.
        match: Which of the model's labels is which class.
    """

    NOTE: ClassVar[str]
    KEYS: ClassVar[dict[Key, str]] = {}

    def __init__(self, file: ModelFile, truth: ClassTruth, *, threads: int = 1) -> None:
        self.match = self._match(file, truth)
        self._file, self._truth = file, truth
        self._model = TimedModel(partial(self.open, file, threads=threads))

    @staticmethod
    def open(file: ModelFile, *, threads: int = 1) -> LoadedModel:
        """Return a model that says what it sees however low its score is."""
        every = file.description.thresholds(score=0.0)
        return load_model(file, threads=threads, thresholds=every)

    def _match(self, file: ModelFile, truth: ClassTruth) -> LabelMatch:
        return match_labels(file.description.labels, dict(enumerate(truth.names)), truth.path)

    def drawn(self, key: int, image: NDArray[np.uint8], side_px: int | None) -> NDArray[np.uint8]:  # noqa: ARG002 - what it says stands there
        """Return an image with what the model says on it, reduced to a longer side."""
        small = reduced(image, side_px)
        described = self._file.description
        task_for(described).draw_inplace(small, self._model.run(image), described)
        return small


class ClassRun(WholeRun):
    """What one classifier says of a set, gathered image by image."""

    NOTE = "top-1 and top-5: the share of the images whose class is the best, among the best five"

    def __init__(self, file: ModelFile, truth: ClassTruth, *, threads: int = 1) -> None:
        super().__init__(file, truth, threads=threads)
        self._best: dict[int, list[int | None]] = {}
        self._scores: dict[int, float] = {}

    def see(self, key: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the stages on one image, or take what was found, and keep the best classes."""
        said = cast("Classes", self._model.run(image) if found is None else found)
        ids = said.class_ids[:TOP].tolist()
        self._best[key] = [self.match.category_ids[number] for number in ids] or [None]
        self._scores[key] = float(said.scores[0]) if ids else 0.0

    def evaluation(self, keys: Sequence[int], class_ids: Sequence[int]) -> Evaluation:
        """Judge what was said of images that were seen, those of other classes left out."""
        true = {key: self._truth.class_ids[key] for key in keys}
        judged = [key for key in keys if true[key] in class_ids]
        if not judged:
            raise SourceError(
                f"{self._truth.path}: expected images of the model's classes, found none; choose "
                f"more images{self._truth.faults.reason()}"
            )
        names = {number: self._truth.names[number] for number in class_ids}
        described = self._file.description
        top = min(TOP, described.head_as(ClassesHead).top)
        hits = {"top-1": [self._best[key][0] == true[key] for key in judged]}
        if 1 < top < len(described.labels):  # among all of them anything is
            hits[f"top-{top}"] = [true[key] in self._best[key] for key in judged]
        sample = HitSample(np.array(list(hits.values())).T)
        counts = self._counts(judged, list(names))
        right, rows, columns = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        values = sample.values(np.arange(len(judged))).tolist()
        return Evaluation(
            file=self._file,
            task="classification",
            images=len(judged),
            objects=len(judged),
            metrics=dict(zip(hits, values, strict=True)),
            classes={
                name: {
                    "recall": right[place] / max(1, rows[place]),
                    "precision": right[place] / max(1, columns[place]),
                    "objects": int(rows[place]),
                }
                for place, name in enumerate(names.values())
                if rows[place]
            },
            confusion=Confusion((*names.values(), OTHER), counts, "images, by the best class"),
            stages_ms=self._model.times_ms(),
            sample=sample,
            mistakes=worst_first(
                Mistakes(key, 1 + round(SURE * self._scores[key]), self._mistake(key))
                for key, is_hit in zip(judged, hits["top-1"], strict=True)
                if not is_hit
            ),
            notes=(*self.match.lines(), self.NOTE),
        )

    def _counts(self, keys: Sequence[int], ids: list[int]) -> NDArray[np.int64]:
        places = {number: place for place, number in enumerate(ids)}
        counts = np.zeros((len(ids) + 1, len(ids) + 1), np.int64)
        for key in keys:
            said = self._best[key][0]
            column = len(ids) if said is None else places.get(said, len(ids))
            counts[places[self._truth.class_ids[key]], column] += 1
        return counts

    def _mistake(self, key: int) -> str:
        said, true = self._best[key][0], self._truth.names[self._truth.class_ids[key]]
        name = OTHER if said is None else self._truth.names[said]
        return f"{true}, taken for {name} {self._scores[key]:.2f}"


class AnomalyRun(WholeRun):
    """One autoencoder's errors on a set, gathered image by image; every folder is judged."""

    NOTE = (
        f"images in a folder named {', '.join(GOOD[:-1])} or {GOOD[-1]} are as they should be, all "
        "others show an anomaly; AUROC is the share of the pairs of one each of which the anomaly "
        "has the greater error"
    )

    def __init__(self, file: ModelFile, truth: ClassTruth, *, threads: int = 1) -> None:
        is_odd = np.array([not is_good(name) for name in truth.names])
        shown = sorted(set(truth.class_ids.values()))
        if is_odd[shown].all() or not is_odd[shown].any():
            names = ", ".join(truth.names[number] for number in shown)
            raise SourceError(
                f"{truth.path}: expected a folder of good images, named {' or '.join(GOOD)}, and "
                f"others of anomalies, found {names} on the {len(truth.files)} images; name them "
                "so, or choose more images"
            )
        super().__init__(file, truth, threads=threads)
        self._is_odd = is_odd
        self._said: dict[int, tuple[float, bool]] = {}

    def _match(self, file: ModelFile, truth: ClassTruth) -> LabelMatch:  # noqa: ARG002 - no labels
        return LabelMatch(tuple(range(len(truth.names))))

    def see(self, key: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the stages on one image, or take what was found, and keep the error."""
        said = cast("Anomaly", self._model.run(image) if found is None else found)
        self._said[key] = said.error, said.is_anomaly

    def evaluation(self, keys: Sequence[int], class_ids: Sequence[int]) -> Evaluation:
        """Judge the errors of images that were seen."""
        true = np.array([self._truth.class_ids[key] for key in keys])
        alarms = np.array([self._said[key][1] for key in keys])
        sample = ErrorSample(np.array([self._said[key][0] for key in keys]), self._is_odd[true])
        is_odd = sample.is_odd
        counts = np.zeros((2, 2), np.int64)
        np.add.at(counts, (is_odd.astype(int), alarms.astype(int)), 1)
        (area,) = sample.values(np.arange(len(keys))).tolist()
        return Evaluation(
            file=self._file,
            task="anomaly",
            images=len(keys),
            objects=len(keys),
            metrics={
                "AUROC": area,
                "anomalies found": counts[1, 1] / max(1, counts[1].sum()),
                "false alarms": counts[0, 1] / max(1, counts[0].sum()),
            },
            classes={
                self._truth.names[number]: {
                    "alarms": float(alarms[true == number].mean()),
                    "objects": int((true == number).sum()),
                }
                for number in class_ids
                if (true == number).any()
            },
            confusion=Confusion(("good", "anomaly"), counts, "images, by the model's threshold"),
            stages_ms=self._model.times_ms(),
            sample=sample,
            mistakes=worst_first(
                Mistakes(key, 1, f"{self._truth.names[number]}, error {self._said[key][0]:.4g}")
                for key, number, is_wrong in zip(keys, true, alarms != is_odd, strict=True)
                if is_wrong
            ),
            notes=(self.NOTE,),
        )
