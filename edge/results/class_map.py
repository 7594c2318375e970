"""What a segmenter saw on one frame: a class id for each cell of its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LARGEST_AREAS = 5  # that the summary of a run names


@dataclass(frozen=True, slots=True)
class Runs:
    """The cells of a map, row after row, those of one class in a row of neighbours taken together.

    A run may go on in the next row; two neighbouring runs are never of one class.

    Attributes:
        class_ids: `(N,)` uint8.
        lengths: `(N,)` int64, cells, >= 1; their sum is H * W.
    """

    class_ids: NDArray[np.uint8]
    lengths: NDArray[np.int64]

    def area_ratios(self, classes: int) -> NDArray[np.float64]:
        """Return the share of the frame that each class covers, `(classes,)`, its sum 1."""
        counts = np.bincount(self.class_ids, weights=self.lengths, minlength=classes)
        ratios: NDArray[np.float64] = counts / self.lengths.sum()
        return ratios


@dataclass(frozen=True, slots=True)
class ClassMap:
    """A class id for each cell of the part of the model's output that the frame covers.

    Attributes:
        class_ids: `(H, W)` uint8, indices into the description's labels. Of the output's
            resolution, without the letterbox's bars; stretched over the frame, it lies on it.
        size_wh: Of the source frame, pixels.

    The array may be a view into a decoder's buffer; it then holds until its next frame, and `copy`
    keeps it.
    """

    class_ids: NDArray[np.uint8]
    size_wh: tuple[int, int]

    def area_ratios(self, classes: int) -> NDArray[np.float64]:
        """Return the share of the frame that each class covers, `(classes,)`, its sum 1."""
        return self.runs().area_ratios(classes)

    def runs(self) -> Runs:
        """Return the cells in runs."""
        ids = self.class_ids
        begins = np.empty(ids.shape, np.bool_)
        np.not_equal(ids[:, 1:], ids[:, :-1], out=begins[:, 1:])
        np.not_equal(ids[1:, 0], ids[:-1, -1], out=begins[1:, 0])
        begins[0, 0] = True
        starts = np.flatnonzero(begins)  # (N,)
        rows, columns = np.divmod(starts, ids.shape[1])
        return Runs(ids[rows, columns], np.diff(starts, append=ids.size))

    def coarse(self, step: int) -> ClassMap:
        """Return about every `step`-th row and column: of each new cell what lies at its centre."""
        rows, columns = (_centers(cells, step) for cells in self.class_ids.shape)
        return ClassMap(self.class_ids[np.ix_(rows, columns)], self.size_wh)

    def copy(self) -> ClassMap:
        """Return the same in an array of its own."""
        return ClassMap(self.class_ids.copy(), self.size_wh)


def _centers(cells: int, step: int) -> NDArray[np.int64]:
    coarse_cells = -(-cells // step)
    centers: NDArray[np.int64] = (2 * np.arange(coarse_cells) + 1) * cells // (2 * coarse_cells)
    return centers


class AreaTally:
    """Takes the mean of the areas of a run.

    Args:
        labels: Text of each class id.
        background: Class id that is left out of the text; `None` leaves none out.
    """

    def __init__(self, labels: Sequence[str], *, background: int | None) -> None:
        self._labels = labels
        self._background = background
        self._frames = 0
        self._areas = np.zeros(len(labels))

    def add(self, result: ClassMap) -> None:
        """Add the areas of one frame."""
        self._frames += 1
        self._areas += result.area_ratios(len(self._labels))

    def area_ratios(self) -> NDArray[np.float64]:
        """Return the mean share of the frame that each class covers, `(classes,)`."""
        return self._areas / max(1, self._frames)

    def text(self) -> str:
        """Return the classes with the largest areas in words."""
        ratios = self.area_ratios()
        order = np.argsort(-ratios, kind="stable").tolist()
        seen = [each for each in order if ratios[each] > 0 and each != self._background]
        areas = [f"{self._labels[each]} {ratios[each]:.1%}" for each in seen[:LARGEST_AREAS]]
        return f"mean area: {', '.join(areas) or 'background only'}"
