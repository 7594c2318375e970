"""What a segmenter saw on one frame: a class id for each cell of its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassMap:
    """A class id for each cell of the part of the model's output that the frame covers.

    Attributes:
        class_ids: `(H, W)` uint8, indices into the manifest's labels. Of the output's resolution,
            without the letterbox's bars; stretched over the source frame, it lies on it.
        size_wh: Of the source frame, pixels.

    The array may be a view into a decoder's buffer; it then holds until its next frame, and `copy`
    keeps it.
    """

    class_ids: NDArray[np.uint8]
    size_wh: tuple[int, int]

    def area_ratios(self, classes: int) -> NDArray[np.float64]:
        """Return the share of the frame that each class covers, `(classes,)`, its sum 1."""
        counts = np.bincount(self.class_ids.reshape(-1), minlength=classes)
        ratios: NDArray[np.float64] = counts / self.class_ids.size
        return ratios

    def copy(self) -> ClassMap:
        """Return the same in an array of its own."""
        return ClassMap(self.class_ids.copy(), self.size_wh)
