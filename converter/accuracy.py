"""How much accuracy quantisation cost: both models on the same images, with an interval."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from edge.evaluation import reading
from edge.evaluation.bootstrap import RESAMPLES, bootstrap, interval
from edge.evaluation.faults import ABSENT
from edge.evaluation.measuring import Difference, measure
from edge.manifest import Accuracy
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.progress import Progress
    from edge.manifest import ModelFile

# Of a mean average precision; a hundredth of a point is far below what an image set can tell.
DIGITS = 5

_log = logging.getLogger(__name__)


# Two models, the labelled images, and how to draw: nine names, and none hides in a bundle.
def compare(  # noqa: PLR0913
    float_file: ModelFile,
    quantized_file: ModelFile,
    *,
    images: Sequence[Path],
    annotations: Path,
    dataset: str,
    seed: int,
    resamples: int = RESAMPLES,
    names: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Accuracy, ...]:
    """Measure two models on the same images, and their difference: what `edge eval A B` does.

    Detectors by mAP50-95 and mAP50, segmenters by mIoU and pixel accuracy, the main one first. What
    is left out of the set is logged.

    Args:
        float_file: The reference.
        quantized_file: What was made of it.
        images: The images; none should have served for calibration.
        annotations: Of any form that `edge.evaluation.reading.read` knows.
        dataset: Name of the set, for the manifest.
        seed: Of the draws.
        resamples: Number of draws.
        names: File of the names of the class ids in YOLO text files or masks, or `None`.
        progress: Called with (images run, images to run), both models counted.

    Raises:
        SourceError: The annotations cannot be read, or no image can be judged.
        ModelError: A model cannot be run, or the annotations are none for its head or its labels.
        DependencyError: pycocotools is not installed, and boxes are to be judged.
    """
    truth = reading.read(annotations, images, names_path=names)
    measured = measure(
        (float_file, quantized_file),
        truth,
        images,
        seed=seed,
        resamples=resamples,
        progress=progress,
    )
    for line in [*truth.faults.lines(without=ABSENT), *measured.evaluations[0].notes]:
        _log.warning("%s: %s", annotations, line)
    count = measured.evaluations[0].images
    return tuple(_accuracy(row, dataset, count) for row in measured.differences)


# As `compare`, which this is for several.
def compare_all(  # noqa: PLR0913
    float_file: ModelFile,
    others: Sequence[ModelFile],
    *,
    images: Sequence[Path],
    annotations: Path,
    dataset: str,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> list[tuple[Accuracy, ...]]:
    """Measure several models made of one float model; return the rows of `compare` for each.

    The float model runs once an image, and all models are judged on the same draws.

    Raises:
        SourceError: The annotations cannot be read, or no image can be judged.
        ModelError: A model cannot be run, or the annotations are none for its head or its labels.
        DependencyError: pycocotools is not installed, and boxes are to be judged.
    """
    truth = reading.read(annotations, images, names_path=None)
    measured = measure(
        (float_file, *others), truth, images, seed=seed, resamples=0, progress=progress
    )
    samples = [each.sample for each in measured.evaluations]
    drawn = bootstrap(samples, seed=seed, resamples=resamples)  # (resamples, models, M)
    values = [each.values(np.arange(each.image_count)) for each in samples]
    metrics = list(measured.evaluations[0].metrics)[: drawn.shape[2]]
    count = measured.evaluations[0].images
    return [
        tuple(
            _accuracy(
                Difference(
                    metric=metric,
                    values=(float(values[0][column]), float(values[model][column])),
                    interval=interval(drawn[:, model, column] - drawn[:, 0, column]),
                ),
                dataset,
                count,
            )
            for column, metric in enumerate(metrics)
        )
        for model in range(1, len(samples))
    ]


def _accuracy(row: Difference, dataset: str, images: int) -> Accuracy:
    low, high = row.interval
    first, second = row.values
    return Accuracy(
        metric=row.metric,
        dataset=storable(dataset),
        images=images,
        float_value=round(first, DIGITS),
        quantized_value=round(second, DIGITS),
        difference=round(second - first, DIGITS),
        difference_interval=(round(low, DIGITS), round(high, DIGITS)),
    )
