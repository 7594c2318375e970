"""How much accuracy quantisation cost: both models on the same images, with an interval."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.evaluation import reading
from edge.evaluation.bootstrap import RESAMPLES
from edge.evaluation.faults import ABSENT
from edge.evaluation.measuring import Difference, measure
from edge.model.readers.manifest import Accuracy
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

# Of a mean average precision; a hundredth of a point is far below what an image set can tell.
DIGITS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Annotations:
    """What is on the images, for a model to be judged by.

    Attributes:
        path: Of any form that `edge.evaluation.reading.read` knows.
        names: File of the names of the class ids in YOLO text files or masks; `None` looks for one
            beside them.
        said: What was logged of them: of several comparisons, the first says it for all.
    """

    path: Path
    names: Path | None = None
    said: set[str] = field(default_factory=set, compare=False, repr=False)

    def read(self, images: Sequence[Path]) -> Truth:
        """Read what is on these images.

        Raises:
            SourceError: They are of no known form, or fit no image.
        """
        return reading.read(self.path, images, names_path=self.names)

    def warn(self, lines: Sequence[str]) -> None:
        """Log what was not logged before."""
        for line in lines:
            if line not in self.said:
                _log.warning("%s: %s", self.path, line)
        self.said.update(lines)


# Two models, the labelled images, and how to draw: nine names, and none hides in a bundle.
def compare(  # noqa: PLR0913
    float_file: ModelFile,
    quantized_file: ModelFile,
    *,
    images: Sequence[Path],
    annotations: Annotations,
    dataset: str,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> tuple[Accuracy, ...]:
    """Measure two models on the same images, and their difference: what `edge eval A B` does.

    Detectors by mAP50-95 and mAP50, segmenters by mIoU and pixel accuracy, the main one first. What
    is left out of the set is logged.

    Args:
        float_file: The reference.
        quantized_file: What was made of it.
        images: The images; none should have served for calibration.
        annotations: Of them.
        dataset: Name of the set, for the manifest.
        seed: Of the draws.
        resamples: Number of draws.
        progress: Called with (images run, images to run), both models counted.

    Raises:
        SourceError: The annotations cannot be read, or no image can be judged.
        ModelError: A model cannot be run, or the annotations are none for its head or its labels.
        DependencyError: pycocotools is not installed, and boxes are to be judged.
    """
    (rows,) = compare_all(
        float_file,
        [quantized_file],
        images=images,
        annotations=annotations,
        dataset=dataset,
        seed=seed,
        resamples=resamples,
        progress=progress,
    )
    return rows


# As `compare`, which this is for several.
def compare_all(  # noqa: PLR0913
    float_file: ModelFile,
    others: Sequence[ModelFile],
    *,
    images: Sequence[Path],
    annotations: Annotations,
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
    truth = annotations.read(images)
    measured = measure(
        (float_file, *others), truth, images, seed=seed, resamples=resamples, progress=progress
    )
    annotations.warn([*truth.faults.lines(without=ABSENT), *measured.evaluations[0].notes])
    count = measured.evaluations[0].images
    return [
        tuple(_accuracy(row, dataset, count) for row in measured.differences if row.model == model)
        for model in range(1, len(others) + 1)
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
