"""Run one segmenter over images with masks, and count pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from edge.decode.segmentation import SegmentationHead
from edge.draw.jpeg import reduced
from edge.errors import ModelError, SourceError
from edge.evaluation.evaluation import Confusion, Evaluation, Mistakes, TimedModel, worst_first
from edge.evaluation.mask_folder import VOID, read_mask
from edge.evaluation.truth import LabelMatch, match_labels
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import MaskTruth
    from edge.model.model_file import ModelFile
    from edge.results.class_map import ClassMap
    from edge.results.observation import Result

METRICS = ("mIoU", "pixel accuracy")
BINARY_CLASSES = 2
NOTE = (
    "judged at the masks' resolution, the model's cells stretched over it by the nearest; the "
    "means are over the classes that the masks show"
)
# How far the sides of a mask may be off its image's aspect, pixels: a rounding.
ASPECT_SLACK_PX = 1.0
# Colours of drawn images, B, G, R.
WRONG, NOT_JUDGED = (60, 60, 255), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class PixelSample:
    """Pixels of each image by class.

    Attributes:
        counts: `(N, 3, C)` int64: rightly found, true, and said pixels.
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, tables: NDArray[np.int64]) -> PixelSample:
        """Take the counts out of `(N, C, C)` tables of `pixel_confusion`."""
        right = np.diagonal(tables, axis1=1, axis2=2)
        return cls(np.stack([right, tables.sum(axis=2), tables.sum(axis=1)], axis=1))

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(2,)`, `METRICS` on the chosen images; NaN where they have no judged pixel."""
        counts = self.counts[chosen].sum(axis=0)  # (3, C)
        right, true, _ = counts
        if not true.sum():
            return np.full(len(METRICS), np.nan)
        return np.array([class_ious(counts)[true > 0].mean(), right.sum() / true.sum()])


def class_ious(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `(C,)`, intersection over union of `(3, C)` counts; 0 where there is no union."""
    right, true, said = counts
    return np.asarray(right / np.maximum(true + said - right, 1))


def class_dices(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `(C,)`, twice the intersection over the sum of both."""
    right, true, said = counts
    return np.asarray(2 * right / np.maximum(true + said, 1))


def pixel_confusion(
    true: NDArray[np.uint8], said: NDArray[np.uint8], *, classes: int
) -> NDArray[np.int64]:
    """Return `(C, C)` pixel counts, row: the truth, column: what was said.

    Args:
        true: `(H, W)` class ids; `VOID` is left out.
        said: `(h, w)` class ids, stretched to the truth's size by the nearest cell.
        classes: C; every class id but `VOID` is below it.
    """
    known = true != VOID
    pairs = true[known].astype(np.int64) * classes + stretch(said, true.shape)[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def stretch(ids: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return `(h, w)` ids at another height and width: of each pixel, the cell at its centre."""
    rows, columns = (
        ((np.arange(count) + 0.5) * cells / count).astype(np.int64)
        for count, cells in zip(shape, ids.shape, strict=True)
    )
    return np.asarray(ids[rows[:, None], columns])


class MaskRun:
    """One segmenter's pixels on a set of masks, counted image by image.

    Attributes:
        NOTE: How the figures are counted.
        KEYS: Colour, B G R, to what it means on a drawn image.
        match: Which of the model's labels is which class id of the masks.
    """

    NOTE: ClassVar = NOTE
    KEYS: ClassVar = {WRONG: "wrong", NOT_JUDGED: "not judged"}
    open = staticmethod(load_model)

    def __init__(self, file: ModelFile, truth: MaskTruth, *, threads: int = 1) -> None:
        self._file = file
        self._truth = truth
        self._labels = file.description.labels
        background = file.description.head_as(SegmentationHead).background
        self.match = _match(self._labels, truth)
        self._true_ids, self._said_ids = _tables(self.match, truth.merged, background)
        self._model = TimedModel(partial(self.open, file, threads=threads))
        self._confusions: dict[int, NDArray[np.int64]] = {}

    def see(self, key: int, image: NDArray[np.uint8], found: Result | None = None) -> None:
        """Run the stages on one image, or take what was found, and count its pixels.

        Raises:
            SourceError: Its mask cannot be read, or has another shape.
        """
        true = self._true(key, image.shape)
        self._confusions[key] = pixel_confusion(
            true, self._said(image, found), classes=len(self._labels)
        )

    def drawn(self, key: int, image: NDArray[np.uint8], side_px: int | None) -> NDArray[np.uint8]:
        """Return an image beside itself with the mistakes painted on, reduced to a longer side."""
        true, said = (
            stretch(ids, image.shape[:2])
            for ids in (self._true(key, image.shape), self._said(image))
        )
        painted = (image // 2).astype(np.uint8)
        painted[true == VOID] = NOT_JUDGED
        painted[(true != VOID) & (said != true)] = WRONG
        return reduced(np.hstack([image, painted]), side_px)

    def _said(self, image: NDArray[np.uint8], found: Result | None = None) -> NDArray[np.uint8]:
        """Return `(h, w)` class ids of the model, as they are judged."""
        found = self._model.run(image) if found is None else found
        said: NDArray[np.uint8] = self._said_ids[cast("ClassMap", found).class_ids]
        return said

    def _true(self, key: int, image_shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return `(H, W)` class ids of the mask, as the model counts them; `VOID` is not judged."""
        path = self._truth.masks[key]
        mask = read_mask(path, is_binary=self._truth.is_binary)
        height, width = image_shape[:2]
        if abs(mask.shape[1] - mask.shape[0] * width / height) > ASPECT_SLACK_PX:
            raise SourceError(
                f"{path}: expected the shape of its image, {width}x{height}, found "
                f"{mask.shape[1]}x{mask.shape[0]}; make the mask of that image"
            )
        true: NDArray[np.uint8] = self._true_ids[mask]
        # No fault are void, and what the match lists.
        left_out = [VOID, *range(len(self._truth.names or ()))]
        for class_id in np.setdiff1d(np.unique(mask[true == VOID]), left_out):
            kind = "class ids that no label has, their pixels left out"
            self._truth.faults.add_once(kind, f"{path.name} ({class_id})")
        return true

    def evaluation(self, keys: Sequence[int], class_ids: Sequence[int]) -> Evaluation:
        """Judge what was counted on images that were seen, by these class ids of the masks."""
        tables = np.stack([self._confusions[key] for key in keys])  # (N, C, C)
        tables[:, [number not in class_ids for number in self.match.category_ids]] = 0
        sample = PixelSample.of(tables)
        whole = sample.counts.sum(axis=0)  # (3, C)
        right, true, said = whole
        if not true.sum():
            raise SourceError(
                f"{self._truth.path}: expected pixels of the model's classes, found none; give "
                f"the names of the masks' class ids with --names{self._truth.faults.reason()}"
            )
        main = dict(zip(METRICS, sample.values(np.arange(len(keys))).tolist(), strict=True))
        dices = class_dices(whole)
        columns = {
            "IoU": class_ious(whole),
            "Dice": dices,
            "recall": right / np.maximum(1, true),
            "precision": right / np.maximum(1, said),
        }
        return Evaluation(
            file=self._file,
            task="segmentation",
            images=len(keys),
            objects=int(true.sum()),
            metrics=main | {"mean Dice": float(dices[true > 0].mean())},
            classes={
                label or f"class {class_id}": {
                    name: float(values[class_id]) for name, values in columns.items()
                }
                | {"objects": int(true[class_id])}
                for class_id, label in enumerate(self._labels)
                if true[class_id] or said[class_id]
            },
            confusion=Confusion(self._labels, tables.sum(axis=0), "pixels of the masks"),
            stages_ms=self._model.times_ms(),
            sample=sample,
            mistakes=_worst(keys, sample.counts),
            notes=(*self.match.lines(), NOTE),
        )


def _match(labels: tuple[str, ...], truth: MaskTruth) -> LabelMatch:
    """Match labels with the masks' class ids: by name, or where there are none, by number."""
    if truth.names is not None:
        return match_labels(labels, dict(enumerate(truth.names)), truth.path)
    if truth.is_binary and len(labels) != BINARY_CLASSES:
        raise ModelError(
            f"{truth.path}: the masks tell foreground from background, the model has "
            f"{len(labels)} labels; name the masks' two in a file, one a line, and give it with "
            "--names"
        )
    return LabelMatch(tuple(range(len(labels))))


def _tables(
    match: LabelMatch, merged: dict[int, int], background: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return `(256,)` tables: the masks' class id to the model's, and the model's as judged.

    Of equal names the first id stands for all. A label that the masks lack is part of their
    background, where both sides have one.
    """
    ids = match.category_ids
    true_ids, said_ids = np.full(256, VOID, np.uint8), np.arange(256, dtype=np.uint8)
    for class_id, mask_id in enumerate(ids):
        if mask_id is not None:
            said_ids[class_id] = ids.index(mask_id)
            if mask_id <= VOID:
                true_ids[mask_id] = said_ids[class_id]
        elif background is not None and ids[background] is not None:
            said_ids[class_id] = background
    for mask_id, first in merged.items():
        if mask_id < VOID:
            true_ids[mask_id] = true_ids[first]
    return true_ids, said_ids


def _worst(keys: Sequence[int], counts: NDArray[np.int64]) -> tuple[Mistakes, ...]:
    right, true, _ = counts.sum(axis=2).T  # (N,) each
    return worst_first(
        Mistakes(key, int(count), f"{share:.1%} of the pixels wrong")
        for key, count, share in zip(
            keys, true - right, (true - right) / np.maximum(true, 1), strict=True
        )
    )
