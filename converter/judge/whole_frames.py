"""How far models are apart that say one thing of a whole frame: its class, or its error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.judge.agreement import FOUND_RATIO
from converter.judge.bill import ImageRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.results.anomaly import Anomaly
    from edge.results.classes import Classes

TOP = 5
NONE = -1


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """Best classes of two models, image by image.

    An image counts where either is sure of its best class: neither may be lost, none made up. It
    is both where the other says the same class, but is not half as sure.

    Attributes:
        is_same: `(N,)`, of the best class.
        is_found: `(N,)`, where it is the same and both are half sure of it.
        is_near: `(N,)`, whether the reference's best is among the other's best few; `None` where
            there are no more classes than those.
        is_sure: `(2, N)`, of the reference and of the other.
        gaps: `(N,)`, how much the score of the reference's best class differs.
    """

    is_same: NDArray[np.bool_]
    is_found: NDArray[np.bool_]
    is_near: NDArray[np.bool_] | None
    is_sure: NDArray[np.bool_]
    gaps: NDArray[np.float64]

    @property
    def objects(self) -> int:
        """Return the images of whose class the reference is sure."""
        return int(self.is_sure[0].sum())

    @property
    def figures(self) -> Mapping[str, float]:
        """Return what is told beside the distance, over all images."""
        found = {"top-1 agreement": float(self.is_same.mean())}
        if self.is_near is not None:
            found[f"top-{TOP} agreement"] = float(self.is_near.mean())
        return found | {"mean change of the best score": float(self.gaps.mean())}

    def distance(self, chosen: NDArray[np.int64]) -> float:
        """Return the share of the images that count whose best class is not found again."""
        counts = self._counts()[chosen]
        return float(1 - np.mean(self.is_found[chosen[counts]])) if counts.any() else math.nan

    def rows(self, paths: Sequence[Path]) -> tuple[ImageRow, ...]:
        """Return a row an image."""
        counts = self._counts()
        return tuple(
            ImageRow(
                path,
                distance=float(counts[index] and not self.is_found[index]),
                matched=int(self.is_sure[0, index] and self.is_found[index]),
                expected=int(self.is_sure[0, index]),
                extra=int(self.is_sure[1, index] and not self.is_found[index]),
                is_blank=not self.is_sure[0, index],
            )
            for index, path in enumerate(paths)
        )

    def _counts(self) -> NDArray[np.bool_]:
        return np.asarray(self.is_sure.any(axis=0))  # (N,)


def match_classes(
    wanted: Sequence[Classes], found: Sequence[Classes], *, sure: float
) -> ClassAgreement:
    """Compare the best classes of each image; both hold the best few, however low their scores."""
    best = [[_best(seen) for seen in side] for side in (wanted, found)]
    ids = np.array([[class_id for class_id, _ in side] for side in best])  # (2, N)
    scores = np.array([[score for _, score in side] for side in best])
    near = [
        class_id in seen.class_ids[:TOP] for (class_id, _), seen in zip(best[0], found, strict=True)
    ]
    others = [
        sum(seen.scores[seen.class_ids == class_id].tolist())
        for (class_id, _), seen in zip(best[0], found, strict=True)
    ]
    is_same = np.asarray(ids[0] == ids[1])
    return ClassAgreement(
        is_same=is_same,
        is_found=is_same & (scores.min(axis=0) >= FOUND_RATIO * sure),
        is_near=np.array(near) if max(map(len, wanted), default=0) >= TOP else None,
        is_sure=np.asarray(scores >= sure),
        gaps=np.abs(scores[0] - others),
    )


def _best(seen: Classes) -> tuple[int, float]:
    """Return id and score of the best class; of none, as of an output of NaN, what no class is."""
    return (int(seen.class_ids[0]), float(seen.scores[0])) if len(seen) else (NONE, 0.0)


@dataclass(frozen=True, slots=True)
class ErrorAgreement:
    """Errors of two autoencoders, image by image.

    An int8 net adds its own noise to each error. A threshold would make up for it, so that the
    order of the images hides it; what a fault adds to the error drowns in it all the same.

    Attributes:
        errors: `(2, N)` float64, of the reference and of the other.
    """

    errors: NDArray[np.float64]

    @property
    def objects(self) -> int:
        """Return the images with an error."""
        return int((self.errors[0] > 0).sum())

    @property
    def figures(self) -> Mapping[str, float]:
        """Return the correlation of the errors' ranks, over all images."""
        return {"rank correlation": rank_correlation(*self.errors)}

    def distance(self, chosen: NDArray[np.int64]) -> float:
        """Return the mean of how much the errors differ, as a share of the greater one."""
        return float(self._shares()[chosen].mean())

    def rows(self, paths: Sequence[Path]) -> tuple[ImageRow, ...]:
        """Return a row an image."""
        shares = self._shares().tolist()
        return tuple(ImageRow(path, share) for path, share in zip(paths, shares, strict=True))

    def _shares(self) -> NDArray[np.float64]:
        greater = np.maximum(self.errors.max(axis=0), np.finfo(np.float64).tiny)
        return np.asarray(np.abs(np.diff(self.errors, axis=0))[0] / greater)  # (N,)


def match_errors(
    wanted: Sequence[Anomaly],
    found: Sequence[Anomaly],
    *,
    sure: float,  # noqa: ARG001 - an error is always sure
) -> ErrorAgreement:
    """Compare the errors of each image."""
    return ErrorAgreement(np.array([[seen.error for seen in side] for side in (wanted, found)]))


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Spearman's correlation, of equal values the mean rank; NaN where one side is even."""
    ranks = []
    for values in (first, second):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[places])
    if not all(map(np.ptp, ranks)):
        return math.nan
    a, b = (values - values.mean() for values in ranks)
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))
