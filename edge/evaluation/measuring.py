"""Measure models on the same labelled images, each image decoded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.benchmark.spread import interval
from edge.capture.source import silence_opencv
from edge.errors import ModelError, SourceError
from edge.evaluation.box_run import BoxRun
from edge.evaluation.images import read_image
from edge.evaluation.mask_run import MaskRun
from edge.evaluation.object_runs import InstanceRun, PoseRun
from edge.evaluation.truth import numbered
from edge.evaluation.whole_run import AnomalyRun, ClassRun
from edge.heads import task_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.benchmark.spread import Interval
    from edge.evaluation.evaluation import Evaluation, Sample
    from edge.evaluation.truth import Truth
    from edge.model.model_file import ModelFile
    from edge.results.observation import Result
    from edge.terminal.progress import Progress

    Run = BoxRun | MaskRun | ClassRun | AnomalyRun

RESAMPLES = 1000
# Draws without any object are drawn again, but not for ever.
MAX_EMPTY_DRAWS = 20
UNREADABLE = "images or masks that cannot be read, left out"
OTHER_SIZE = "images of another size than their annotations say, left out"

# What a model does, to what it is called, what it is judged by, and who judges it.
JUDGED: dict[str, tuple[str, str, Any]] = {
    "detection": ("a detector", "boxes", BoxRun),
    "instances": ("a model of instance masks", "boxes", InstanceRun),
    "pose": ("a pose model", "boxes", PoseRun),
    "segmentation": ("a segmenter", "masks", MaskRun),
    "classification": ("a classifier", "classes", ClassRun),
    "anomaly": ("an autoencoder", "classes", AnomalyRun),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """How a further model differs from the first, in one metric, on the same images.

    Attributes:
        model: Its index, from 1.
        metric: Its name.
        values: Of the first and of this one.
        interval: 95 % of the paired bootstrap of this one minus the first.
    """

    model: int
    metric: str
    values: tuple[float, float]
    interval: Interval

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval[0] > 0 or self.interval[1] < 0


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the models were measured to do.

    Attributes:
        truth: The annotations; what was left out of them stands there.
        files: Key of each judged image to its file, by rising key.
        runs: One for each model.
        evaluations: Likewise.
        differences: Of each further model against the first, the main metric first.
    """

    truth: Truth
    files: dict[int, Path]
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...] = ()


# Models, truth and images, and how to run and draw.
def measure(  # noqa: PLR0913
    files: Sequence[ModelFile],
    truth: Truth,
    images: Sequence[Path],
    *,
    seed: int,
    resamples: int,
    threads: int = 1,
    found: Sequence[Mapping[Path, Result]] = (),
    is_brief: bool = False,
    progress: Progress | None = None,
    drawing: Progress | None = None,
) -> Measurement:
    """Run every model on every image, judge, and draw the intervals.

    The interval of a difference is a paired bootstrap: images are drawn with replacement, all
    models are judged on the same draw, and the central 95 % of the differences is taken. The same
    arguments give the same numbers.

    Args:
        files: At least one model.
        truth: The annotations.
        images: The images; those without annotation are left out and named.
        seed: Of the draws.
        resamples: Number of draws; 0 for no intervals.
        threads: Of the interpreters.
        found: What each model finds on each image, where that is known: as the `open` of
            its run gives it. No model is run then.
        is_brief: Leave out of boxes what no difference needs: sizes, classes and mistakes.
        progress: Called with (images run, images to run), those of all models counted.
        drawing: Called with (draws done, draws wanted).
    """
    silence_opencv()
    runs = tuple(run_of(file, truth, threads=threads) for file in files)
    annotated = numbered(truth, images)
    seen: dict[int, Path] = {}
    for key, path, image in _images(truth, annotated):
        try:
            for number, run in enumerate(runs, start=1):
                run.see(key, image, found[number - 1][path] if found else None)
                if progress:
                    progress(len(seen) * len(runs) + number, len(annotated) * len(runs))
        except SourceError as error:
            truth.faults.add(UNREADABLE, str(error))
            continue
        seen[key] = path
    if not seen:
        raise SourceError(
            f"{truth.path}: expected images to judge by, found none that can be read"
            f"{truth.faults.reason()}"
        )
    known = sorted(set.intersection(*(set(run.match.known_ids()) for run in runs)))
    if not known:
        names = ", ".join(str(file.path) for file in files)
        raise ModelError(f"{names}: expected a label that all know, found none; measure them apart")
    evaluations = tuple(
        (run.brief if is_brief and isinstance(run, BoxRun) else run.evaluation)(list(seen), known)
        for run in runs
    )
    plain = Measurement(truth, seen, runs, evaluations)
    return _with_intervals(plain, seed=seed, resamples=resamples, drawing=drawing)


def run_of(file: ModelFile, truth: Truth, *, threads: int = 1) -> Run:
    """Return what judges a model by such a truth; nothing is run yet.

    Raises:
        ModelError: It is not judged by such annotations.
        SourceError: The annotations lack what it is judged by.
    """
    kind, wanted, run = JUDGED[task_of(file.description.head)]
    if truth.holds != wanted:
        raise ModelError(
            f"{file.path}: {kind} is judged by {wanted}, but {truth.path} holds {truth.holds}; "
            f"give annotations that are {wanted}"
        )
    made: Run = run(file, truth, threads=threads)
    return made


def _images(
    truth: Truth, annotated: Sequence[tuple[int, Path]]
) -> Iterator[tuple[int, Path, NDArray[np.uint8]]]:
    """Yield key, path and image of those that can be read and are as annotated."""
    sizes_wh = truth.sizes_wh()
    for key, path in annotated:
        try:
            image = read_image(path)
        except SourceError as error:
            truth.faults.add(UNREADABLE, str(error))
            continue
        found = (image.shape[1], image.shape[0])
        said = sizes_wh.get(key, found)
        if said == found:
            yield key, path, image
        else:
            text = f"{path.name} ({found[0]}x{found[1]}, said to be {said[0]:g}x{said[1]:g})"
            truth.faults.add(OTHER_SIZE, text)


def _with_intervals(
    plain: Measurement, *, seed: int, resamples: int, drawing: Progress | None
) -> Measurement:
    samples = [result.sample for result in plain.evaluations]
    every = np.arange(plain.evaluations[0].images)
    rows = [sample.values(every) for sample in samples]
    if any(np.isnan(row).any() for row in rows):
        raise SourceError(
            f"{plain.truth.path}: expected objects that the model knows on the {len(every)} "
            f"images, found none; choose more images{plain.truth.faults.reason()}"
        )
    if not resamples:
        return plain
    # A classifier of few classes has no top-5.
    most = min(map(len, rows))
    names = zip(*(list(one.metrics)[:most] for one in plain.evaluations), strict=True)
    metrics = [each[0] for each in names if len(set(each)) == 1]
    values = [row[: len(metrics)] for row in rows]
    drawn = bootstrap(samples, images=len(every), seed=seed, resamples=resamples, progress=drawing)[
        :, :, : len(metrics)
    ]

    def intervals(values: NDArray[np.float64]) -> dict[str, Interval]:  # of (resamples, M)
        return dict(zip(metrics, map(interval, values.T), strict=True))

    differences = tuple(
        Difference(number, metric, (float(values[0][column]), float(values[number][column])), ends)
        for number in range(1, len(samples))
        for column, (metric, ends) in enumerate(intervals(drawn[:, number] - drawn[:, 0]).items())
    )
    evaluations = tuple(
        replace(result, intervals=intervals(drawn[:, number]))
        for number, result in enumerate(plain.evaluations)
    )
    return replace(plain, evaluations=evaluations, differences=differences)


def bootstrap(
    samples: Sequence[Sample],
    *,
    images: int,
    seed: int,
    resamples: int,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return each model's metrics on each draw of so many images, the draws shared.

    A draw without any object is drawn again.

    Args:
        samples: One for each model, of the same images.
        images: How many those are.
        seed: Of the draws.
        resamples: Number of draws.
        progress: Called with (draws done, draws wanted).

    Returns:
        `(resamples, models, M)` float64; NaN where there are next to no objects to draw.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentiles).
    """
    random = np.random.default_rng(seed)
    most = min(len(sample.values(np.arange(images))) for sample in samples)
    rows: list[Any] = []
    spare = MAX_EMPTY_DRAWS * resamples
    while len(rows) < resamples:
        chosen = np.sort(random.integers(0, images, images))
        row = [sample.values(chosen)[:most] for sample in samples]
        if not np.isnan(row).any() or spare <= 0:
            rows.append(row)
            if progress:
                progress(len(rows), resamples)
        spare -= 1
    return np.array(rows)
