"""The result of measuring one model on one labelled set, and the times it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.frame import StageClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edge.benchmark.spread import Interval
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.observation import Result

# Of most use in a confusion matrix of many classes.
MOST_CONFUSED = 10


class Sample(Protocol):
    """One model's results on a set of images, ready to be judged on any choice of them."""

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(M,)`, the metrics on the chosen images; NaN where they show no object."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """What was taken for what.

    Attributes:
        names: Of rows and columns alike.
        counts: `(C, C)` int64, row: the truth, column: what the model said.
        note: Of what, and how it was counted.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    note: str

    def most(self, count: int = MOST_CONFUSED) -> list[tuple[str, str, int]]:
        """Return (truth, said, how often) of the most frequent mistakes."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(order, wrong.shape)
        return [
            (self.names[row], self.names[column], int(wrong[row, column]))
            for row, column in zip(rows, columns, strict=True)
            if wrong[row, column]
        ]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """What went wrong on the image of a key: misses and false alarms, or wrong pixels.

    Of a whole image, how sure the wrong word was.
    """

    key: int
    count: int
    text: str


def worst_first(rows: Iterable[Mistakes]) -> tuple[Mistakes, ...]:
    """Return those that count any, the most first."""
    return tuple(sorted(filter(lambda row: row.count, rows), key=lambda row: (-row.count, row.key)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model's figures on one labelled set; a brief one has neither classes nor mistakes.

    Attributes:
        file: The model.
        task: A key of `edge.tasks.TASKS`.
        images: N.
        objects: Judged boxes; of masks, judged pixels; of whole images, their number.
        metrics: Name to value in [0, 1], the main one first.
        stages_ms: Stage, and `total`, to `p50`, `p95` and `mean` over the same images.
        sample: What a bootstrap draws from; its metrics are the first of `metrics`.
        notes: Sentences on what was left out, or how something was counted.
        classes: Label to its own metrics, and `objects`.
        curves: Label to `precision` and `scores` of `edge.evaluation.judge.curves`; boxes only.
        confusion: What was taken for what.
        mistakes: Of each image that has any, the worst first.
        intervals: Metric of the sample to its 95 % bootstrap interval over images; empty before the
            draws.
    """

    file: ModelFile
    task: str
    images: int
    objects: int
    metrics: dict[str, float]
    stages_ms: dict[str, dict[str, float]]
    sample: Sample
    notes: tuple[str, ...]
    classes: dict[str, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    confusion: Confusion = Confusion((), np.zeros((0, 0), np.int64), "")
    mistakes: tuple[Mistakes, ...] = ()
    intervals: dict[str, Interval] = field(default_factory=dict)

    @property
    def main_metric(self) -> str:
        """Name of the metric that models are chosen by."""
        return next(iter(self.metrics))

    @property
    def class_metrics(self) -> list[str]:
        """Names of the metrics of each class."""
        return [name for name in next(iter(self.classes.values()), {}) if name != "objects"]


class TimedModel:
    """Runs a model's stages in a row on the calling thread, and notes how long each took.

    Args:
        load: Gives the model, which nobody else may use meanwhile; called before the first image.
    """

    def __init__(self, load: Callable[[], LoadedModel]) -> None:
        self._load = load
        self._model: LoadedModel | None = None
        self._rows_ms: list[dict[str, float]] = []

    def run(self, image: NDArray[np.uint8]) -> Result:
        """Return what the model sees on `(H, W, 3)` uint8, B G R; borrowed until the next call."""
        if self._model is None:
            self._model = self._load()
            self._model.invoke_bare()  # the first lays the weights out, which no later one does
        clock = StageClock()
        result = self._model(image, clock)
        self._rows_ms.append(clock.stage_ms())
        return result

    def times_ms(self) -> dict[str, dict[str, float]]:
        """Return `p50`, `p95` and `mean` of each stage, and of all of them together as `total`."""
        rows = [row | {"total": sum(row.values())} for row in self._rows_ms]
        columns = {stage: [row[stage] for row in rows] for stage in (rows[0] if rows else ())}
        return {
            stage: {
                "p50": float(np.percentile(times, 50)),
                "p95": float(np.percentile(times, 95)),
                "mean": float(np.mean(times)),
            }
            for stage, times in columns.items()
        }
