"""Masks and keypoints by the book: dequantise everything, look at one cell or point at a time.

Shares no code with `edge.decode`. Source: Bolya et al. 2019, section 3.2; He et al. 2017, section
3; Maji et al. 2022, section 3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.float_heads import real_values, sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.frame import Placement
    from edge.model.spec import TensorSpec

Window = tuple[int, int, int, int]


def frame_cells(placement: Placement, counts: tuple[int, int]) -> Window:
    """Return left, top, right, bottom of the cells of a grid over the input that a frame covers."""
    ends = []
    for axis in (0, 1):
        per_px = counts[axis] / placement.input_wh[axis]
        first = min(math.floor(placement.offset_xy[axis] * per_px + 0.5), counts[axis] - 1)
        border = (placement.offset_xy[axis] + placement.region_wh[axis]) * per_px
        ends.append((first, max(math.floor(border + 0.5), first + 1)))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def cells_in(
    box: Sequence[float], placement: Placement, counts: tuple[int, int]
) -> set[tuple[int, int]]:
    """Return (row, column) of the cells whose centre is in a box, or else of that at its centre."""
    left, top, right, bottom = frame_cells(placement, counts)
    x_px = placement.source_wh[0] / (right - left)
    y_px = placement.source_wh[1] / (bottom - top)
    columns = [c for c in range(right - left) if box[0] <= (c + 0.5) * x_px < box[2]]
    rows = [r for r in range(bottom - top) if box[1] <= (r + 0.5) * y_px < box[3]]
    columns = columns or [min(math.floor((box[0] + box[2]) / 2 / x_px), right - left - 1)]
    rows = rows or [min(math.floor((box[1] + box[3]) / 2 / y_px), bottom - top - 1)]
    return {(row + top, column + left) for row in rows for column in columns}


def mask_sum(
    coefficients: Sequence[float], prototypes: NDArray[Any], cell: tuple[int, int]
) -> tuple[float, float]:
    """Return the sum that decides of a cell, and the sum of its parts' sizes."""
    parts = [
        float(coefficient) * float(value)
        for coefficient, value in zip(coefficients, prototypes[0][cell], strict=True)
    ]
    return sum(parts), sum(map(abs, parts))


def box_mask(raw: NDArray[Any], tensor: TensorSpec, *, is_raw: bool) -> list[list[bool]]:
    """Return of `(h, w)` raw values whether each cell is inside."""
    real = real_values(raw, tensor)
    return [[(sigmoid(float(v)) if is_raw else float(v)) >= 0.5 for v in row] for row in real]


def point(
    raw: Sequence[float], *, cell_xy: tuple[int, int], stride_xy: tuple[float, float]
) -> tuple[float, float]:
    """Return x, y of a keypoint of a grid in input pixels."""
    x, y = (
        (2 * float(value) + cell) * stride
        for value, cell, stride in zip(raw, cell_xy, stride_xy, strict=True)
    )
    return x, y
