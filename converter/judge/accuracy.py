"""How much accuracy models lose against labels: all on the same images, with intervals."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converter.judge.bill import Loss
from edge.evaluation import reading
from edge.evaluation.faults import ABSENT
from edge.evaluation.measuring import JUDGED, RESAMPLES, Difference, measure, run_of
from edge.model.readers.manifest import Accuracy
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth
    from edge.model.model_file import ModelFile
    from edge.results.observation import Result
    from edge.terminal.progress import Progress

# Of a mean average precision; a hundredth of a point is far below what an image set can tell.
DIGITS = 5
# How the figures are counted, on every run alike: the report says it, no warning.
FACTS = tuple(run.NOTE for *_, run in JUDGED.values())

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


def check(reference: ModelFile, images: Sequence[Path], annotations: Annotations | None) -> None:
    """Refuse annotations that cannot judge a model, before it is worked on for minutes.

    Raises:
        SourceError: They cannot be read.
        ModelError: They are none for its head or its labels.
    """
    if annotations is not None:
        run_of(reference, annotations.read(images))


# The models, the labelled images, and how to draw: none hides in a bundle.
def compare(  # noqa: PLR0913
    reference: ModelFile,
    candidates: Sequence[ModelFile],
    *,
    images: Sequence[Path],
    annotations: Annotations,
    dataset: str,
    seed: int,
    resamples: int = RESAMPLES,
    found: Sequence[Mapping[Path, Result]] = (),
    progress: Progress | None = None,
) -> list[tuple[Loss, ...]]:
    """Measure models on the same images, and their differences from the first: `edge eval A B`.

    Detectors by mAP50-95 and mAP50, segmenters by mIoU and pixel accuracy, the main one first. The
    reference runs once an image, and all are judged on the same draws. What is left out of the set
    is logged.

    Args:
        reference: What the others were made of.
        candidates: The others.
        images: The images; none should have served to make or choose a model.
        annotations: Of them.
        dataset: Name of the set, for the manifest.
        seed: Of the draws.
        resamples: Number of draws.
        found: What each of them, the reference first, finds on each image, where that is known.
        progress: Called with (images run, images to run), those of all models counted.

    Returns:
        The rows of each candidate.

    Raises:
        SourceError: The annotations cannot be read, or no image can be judged.
        ModelError: A model cannot be run, or the annotations are none for its head or its labels.
        DependencyError: pycocotools is not installed, and boxes are to be judged.
    """
    truth = annotations.read(images)
    measured = measure(
        (reference, *candidates),
        truth,
        images,
        seed=seed,
        resamples=resamples,
        found=found,
        is_brief=True,
        progress=progress,
    )
    notes = [note for note in measured.evaluations[0].notes if note not in FACTS]
    annotations.warn([*truth.faults.lines(without=ABSENT), *notes])
    count = measured.evaluations[0].images
    return [
        tuple(_loss(row, dataset, count) for row in measured.differences if row.model == model)
        for model in range(1, len(candidates) + 1)
    ]


def _loss(row: Difference, dataset: str, images: int) -> Loss:
    low, high = row.interval
    first, second = row.values
    return Loss(
        metric=row.metric,
        dataset=storable(dataset),
        images=images,
        reference=round(first, DIGITS),
        candidate=round(second, DIGITS),
        difference=round(second - first, DIGITS),
        interval=(round(low, DIGITS), round(high, DIGITS)),
    )


def for_manifest(rows: Sequence[Loss]) -> tuple[Accuracy, ...]:
    """Return the rows as a quantised model's manifest has them."""
    return tuple(
        Accuracy(
            metric=row.metric,
            dataset=row.dataset,
            images=row.images,
            float_value=row.reference,
            quantized_value=row.candidate,
            difference=row.difference,
            difference_interval=row.interval,
        )
        for row in rows
    )
