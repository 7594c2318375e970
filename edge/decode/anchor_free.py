"""The head `anchor_free`: raw grids without anchors.

Source: Ge et al. 2021, "YOLOX", section 2.1 (centre and logarithm of the sides); Tian et al. 2019,
"FCOS", eq. 1 (distances); Li et al. 2020, "Generalized Focal Loss", eq. 3 (their distribution).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from edge.decode.boxes import BOX_SIDES, MAX_EXPONENT, BoxDecoder, Grid, clamp_inplace
from edge.decode.checks import (
    Misfit,
    cells_text,
    expect_grid_roles,
    expect_no_anchors,
    expect_raw,
    expect_shape,
)
from edge.decode.selection import Scores, selectors_of
from edge.model.description import HeadSchema
from edge.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, TensorSpec

# Far over any input, and small enough that no area of a box overflows float32.
MAX_STRIDE_PX = 2**16
# No input is so many cells wide: only a damaged float output says more.
MAX_CELLS = 2.0**16


class AnchorFreeGrid(Record, frozen=True, kw_only=True):
    """One grid of H x W cells, each with one box.

    Attributes:
        boxes: Output role of the raw box, `(1, H, W, 4 * bins)`, side by side, then bin by bin.
        scores: Output role of the raw class scores, `(1, H, W, C)`.
        objectness: Output role of the raw objectness, `(1, H, W, 1)`; `None` where there is none.
        stride_px: Input pixels of one cell, horizontally and vertically.
    """

    boxes: str
    scores: str
    objectness: str | None = None
    stride_px: Annotated[int, Meta(ge=1, le=MAX_STRIDE_PX)]


class AnchorFreeHead(HeadSchema, frozen=True, kw_only=True, tag="anchor_free"):
    """Raw grids without anchors (YOLOX, YOLOv6, v8 to v11); scores are sigmoids.

    Attributes:
        boxes: What a raw box says, in strides. `center_exp`: centre from the cell's corner, and
            the logarithm of width and height (YOLOX). `distances`: left, top, right, bottom from
            the cell's centre (bins is 1; YOLOv6). `distribution`: each of these as the mean of a
            softmax over bins 0, 1, 2 … (v8, v9, v11; Li et al. 2020, "Generalized Focal Loss").
        bins: Of each side; 1 unless `distribution`.
    """

    grids: Annotated[tuple[AnchorFreeGrid, ...], Meta(min_length=1)]
    boxes: Literal["center_exp", "distances", "distribution"]
    bins: Annotated[int, Meta(ge=1)] = 1


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(AnchorFreeHead)
    expect_raw(spec)
    expect_no_anchors(spec.description)
    if (head.boxes == "distribution") != (head.bins > 1):
        raise Misfit(
            "a distribution has 2 or more bins and other boxes 1, the description says "
            f"{head.boxes} with bins = {head.bins}"
        )
    expect_grid_roles(spec, [_roles(grid) for grid in head.grids], head="an anchor-free head")
    labels = len(spec.description.labels)
    for grid in head.grids:
        cells = _expected_cells(spec, grid)
        widths = {grid.boxes: BOX_SIDES * head.bins, grid.scores: labels}
        if grid.objectness is not None:
            widths[grid.objectness] = 1
        for role, width in widths.items():
            reason = f"a stride of {grid.stride_px} px, {head.bins} bins and {labels} labels"
            expect_shape(spec, role, (1, *cells, width), reason=reason)


def _roles(grid: AnchorFreeGrid) -> list[str]:
    return [role for role in (grid.boxes, grid.scores, grid.objectness) if role is not None]


def _expected_cells(spec: ModelSpec, grid: AnchorFreeGrid) -> tuple[int, int]:
    """Return the rows and columns that a stride makes of the input; the last may be a part."""
    width, height = spec.description.input.size_wh
    return math.ceil(height / grid.stride_px), math.ceil(width / grid.stride_px)


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(AnchorFreeHead)
    bins = f" over {head.bins} bins" if head.bins > 1 else ""
    lines = [("head", f"anchor_free, boxes {head.boxes}{bins}")]
    for grid in head.grids:
        cells, roles = cells_text(spec.outputs[grid.boxes]), ", ".join(_roles(grid))
        lines.append(("grid", f"{cells} cells in {roles}, stride {grid.stride_px} px"))
    return lines


class AnchorFreeDecoder(BoxDecoder):
    """Decodes the grids of one model.

    Args:
        spec: The model; its head is an `AnchorFreeHead`.
        thresholds: Of a candidate, and of the detections that are made of them.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(AnchorFreeHead)
        self._boxes_kind = head.boxes
        # Of a box of distances the origin is the cell's centre, of others its corner.
        inset = 0.0 if head.boxes == "center_exp" else 0.5
        grids = [
            Grid(
                grid.boxes,
                _geometry(spec.outputs[grid.boxes], stride_px=grid.stride_px, inset=inset),
            )
            for grid in head.grids
        ]
        scores = [
            Scores(grid.scores, len(placed.geometry), grid.objectness)
            for grid, placed in zip(head.grids, grids, strict=True)
        ]
        super().__init__(
            spec,
            grids,
            thresholds,
            selectors=selectors_of(spec, scores, thresholds.score, activation="sigmoid"),
            width=BOX_SIDES * head.bins,
        )

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode what a box says, in strides."""
        if self._boxes_kind == "distribution":
            sides = _means(raw.reshape(len(raw) * BOX_SIDES, -1)).reshape(-1, BOX_SIDES)
        else:
            sides = raw.astype(np.float64)
            clamp_inplace(sides, MAX_CELLS)
        before, behind = sides[:, :2], sides[:, 2:]
        origins_xy, stride_px = geometry[:, :2], geometry[:, 2:]
        if self._boxes_kind == "center_exp":
            origins_xy += before
            clamp_inplace(behind, MAX_EXPONENT)
            before = behind = np.exp(behind) / 2
        np.multiply(origins_xy - before, stride_px, out=out[:, :2])
        np.multiply(origins_xy + behind, stride_px, out=out[:, 2:])


def _means(raw: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return of `(m, bins)` raw distributions the mean bin of each one's softmax, `(m,)`.

    NaN where infinity or NaN is among the raw. By columns, since a maximum along 16 values takes
    NumPy seven times as long as one across them: 56 µs against 8 for 256 boxes, x86.
    """
    columns = np.ascontiguousarray(raw.T)  # (bins, m)
    with np.errstate(invalid="ignore"):
        columns -= columns.max(axis=0)
        np.exp(columns, out=columns)
        moments = np.stack([np.ones(len(columns)), np.arange(len(columns))]) @ columns  # (2, m)
        means: NDArray[np.float64] = moments[1] / moments[0]
    return means


def _geometry(output: TensorSpec, *, stride_px: int, inset: float) -> NDArray[np.float64]:
    """Return of each cell its origin (x, y), in cells, and its side, pixels, `(H * W, 3)`."""
    rows, columns = output.shape[1:3]
    table = np.empty((rows, columns, 3))
    table[..., 0] = np.arange(columns) + inset
    table[..., 1] = np.arange(rows)[:, None] + inset
    table[..., 2] = stride_px
    return table.reshape(-1, 3)
