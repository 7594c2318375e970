"""How much accuracy quantisation cost: both models on the same images, with an interval."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.images import read_image
from converter.resampling import Matches, average_precision, collect
from edge.errors import SourceError
from edge.evaluate import coco_results, judge, match_labels, open_detector, read_truth
from edge.manifest import Accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.evaluate import LabelMatch, Truth
    from edge.manifest import ModelFile

    Progress = Callable[[int, int], None]

RESAMPLES = 1000
INTERVAL_PERCENT = (2.5, 97.5)
# Of a mean average precision; a hundredth of a point is far below what an image set can tell.
DIGITS = 5
IOU_50 = 0.5

_log = logging.getLogger(__name__)


# Two models, the labelled images, and how to draw: eight names, and none hides in a bundle.
def compare(  # noqa: PLR0913
    float_file: ModelFile,
    quantized_file: ModelFile,
    *,
    images: Sequence[Path],
    annotations: Path,
    dataset: str,
    seed: int,
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> tuple[Accuracy, ...]:
    """Measure mAP50-95 and mAP50 of two models on the same images, and their difference.

    The interval of the difference is a paired bootstrap: images are drawn with replacement, both
    models are judged on the same draw, and the central 95 % of the differences is taken. The same
    arguments give the same numbers.

    Args:
        float_file: The reference.
        quantized_file: What was made of it.
        images: Files that the annotations name; none should have served for calibration.
        annotations: A COCO `instances` file.
        dataset: Name of the set, for the manifest.
        seed: Of the draws.
        resamples: Number of draws.
        progress: Called with (images run, images to run), both models counted.

    Raises:
        SourceError: An image or the annotations cannot be read, or the images show no known object.
        ModelError: A model cannot be run, or knows none of the categories.
        DependencyError: pycocotools is not installed.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentiles).
    """
    truth = read_truth(annotations)
    numbered = sorted(zip(truth.image_ids(images), images, strict=True))
    matches = [
        _matches(file, truth, _Reader(numbered, done=run * len(numbered), progress=progress))
        for run, file in enumerate((float_file, quantized_file))
    ]
    every = np.arange(len(numbered))
    values = np.stack([average_precision(found, every) for found in matches])  # (2, T)
    if np.isnan(values).any():
        raise SourceError(
            f"{annotations}: expected objects that the model knows on the {len(numbered)} images, "
            "found none; choose more images"
        )
    drawn = bootstrap(matches, seed=seed, resamples=resamples)  # (B, 2, T)
    at_50 = np.isclose(matches[0].iou_thresholds, IOU_50)
    columns = {"mAP50-95": np.ones_like(at_50), "mAP50": at_50}
    return tuple(
        _accuracy(metric, values[:, mask].mean(axis=1), drawn[:, :, mask].mean(axis=2),
                  dataset=dataset, images=len(numbered))
        for metric, mask in columns.items()
    )  # fmt: skip


def bootstrap(matches: Sequence[Matches], *, seed: int, resamples: int) -> NDArray[np.float64]:
    """Return each model's average precision on each draw of images, the draws shared.

    A draw without any object is drawn again.

    Returns:
        `(resamples, models, T)` float64.
    """
    random = np.random.default_rng(seed)
    count = matches[0].image_count
    rows: list[Any] = []
    while len(rows) < resamples:
        chosen = np.sort(random.integers(0, count, count))
        row = [average_precision(found, chosen) for found in matches]
        if not np.isnan(row).any():
            rows.append(row)
    return np.array(rows)


class _Reader:
    """Reads images one by one, and tells how far it is."""

    def __init__(
        self, numbered: Sequence[tuple[int, Path]], *, done: int, progress: Progress | None
    ) -> None:
        self.numbered = numbered
        self._done = done
        self._progress = progress

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for number, (image_id, path) in enumerate(self.numbered, start=1):
            yield image_id, read_image(path)
            if self._progress:
                self._progress(self._done + number, 2 * len(self.numbered))


def _matches(file: ModelFile, truth: Truth, reader: _Reader) -> Matches:
    match = match_labels(file.manifest.labels, truth)
    _report(file, match)
    results = coco_results(open_detector(file), reader, match)
    ids = [image_id for image_id, _ in reader.numbered]
    return collect(
        judge(truth, results, image_ids=ids, category_ids=match.known_ids(), all_areas=False)
    )


def _report(file: ModelFile, match: LabelMatch) -> None:
    if match.labels_without_category:
        _log.warning(
            "%s: not judged, as the annotations lack them: %s",
            file.path, ", ".join(match.labels_without_category),
        )  # fmt: skip
    if match.categories_without_label:
        _log.warning(
            "%s: not judged, as the model lacks them: %s",
            file.path, ", ".join(match.categories_without_label),
        )  # fmt: skip


def _accuracy(
    metric: str,
    values: NDArray[np.float64],
    drawn: NDArray[np.float64],
    *,
    dataset: str,
    images: int,
) -> Accuracy:
    """Return one metric's row; `values` is `(2,)` float and quantised, `drawn` `(B, 2)`."""
    low, high = np.percentile(drawn[:, 1] - drawn[:, 0], INTERVAL_PERCENT)
    return Accuracy(
        metric=metric,
        dataset=dataset,
        images=images,
        float_value=round(float(values[0]), DIGITS),
        quantized_value=round(float(values[1]), DIGITS),
        difference=round(float(values[1] - values[0]), DIGITS),
        difference_interval=(round(float(low), DIGITS), round(float(high), DIGITS)),
    )
