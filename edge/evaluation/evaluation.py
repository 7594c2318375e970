"""The result of measuring one model on one labelled set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.evaluation.bootstrap import Interval, Sample
    from edge.evaluation.judge import Curve
    from edge.evaluation.stage_times import StageTime
    from edge.model.model_file import ModelFile

Task = Literal["detection", "segmentation"]
# Of most use in a confusion matrix of many classes.
MOST_CONFUSED = 10


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
    """What went wrong on one image.

    Attributes:
        key: Of the image in its truth.
        count: Of misses and false alarms; of wrong pixels.
        text: The same in words.
    """

    key: int
    count: int
    text: str


def worst_first(rows: Iterable[Mistakes]) -> tuple[Mistakes, ...]:
    """Return those that count any, the most first."""
    return tuple(sorted(filter(lambda row: row.count, rows), key=lambda row: (-row.count, row.key)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One model's figures on one labelled set.

    Attributes:
        file: The model.
        task: What it was judged as.
        images: N.
        objects: Judged boxes; of masks, judged pixels.
        metrics: Name to value in [0, 1], the main one first.
        classes: Label to its own metrics, and `objects`.
        curves: Label to precision and recall; empty for masks.
        confusion: What was taken for what.
        stages: Stage to time, over the same images.
        sample: What a bootstrap draws from; its metrics are the first of `metrics`.
        mistakes: Of each image that has any, the worst first.
        notes: Sentences on what was left out, or how something was counted.
        intervals: Metric of the sample to its 95 % bootstrap interval over images; empty before the
            draws.
    """

    file: ModelFile
    task: Task
    images: int
    objects: int
    metrics: dict[str, float]
    classes: dict[str, dict[str, float]]
    curves: dict[str, Curve]
    confusion: Confusion
    stages: dict[str, StageTime]
    sample: Sample
    mistakes: tuple[Mistakes, ...] = ()
    notes: tuple[str, ...] = field(default=())
    intervals: dict[str, Interval] = field(default_factory=dict)

    @property
    def main_metric(self) -> str:
        """Name of the metric that models are chosen by."""
        return next(iter(self.metrics))


def to_fields(result: Evaluation) -> dict[str, Any]:
    """Return an evaluation as JSON has it."""
    described = result.file.description
    return {
        "model": {
            "file": str(result.file.path), "name": described.name, "digest": described.digest,
        },
        "task": result.task,
        "images": result.images,
        "objects": result.objects,
        "main_metric": result.main_metric,
        "metrics": result.metrics,
        "intervals": result.intervals,
        "classes": result.classes,
        "curves": {
            label: {"precision": curve.precision, "scores": curve.scores}
            for label, curve in result.curves.items()
        },
        "confusion": {
            "note": result.confusion.note,
            "names": result.confusion.names,
            "counts": result.confusion.counts.tolist(),
        },
        "stages_ms": {
            name: {"p50": time.p50_ms, "p95": time.p95_ms, "mean": time.mean_ms}
            for name, time in result.stages.items()
        },
        "notes": result.notes,
    }  # fmt: skip
