"""The head `anchor_free`: raw grids without anchors.

Source: Ge et al. 2021, "YOLOX", section 2.1 (centre and logarithm of the sides); Tian et al. 2019,
"FCOS", eq. 1 (distances); Li et al. 2020, "Generalized Focal Loss", eq. 3 (their distribution).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from edge.decode.boxes import (
    BOX_SIDES,
    MAX_EXPONENT,
    MAX_SIDE_PX,
    BoxDecoder,
    Grid,
    clamp_inplace,
)
from edge.decode.checks import (
    Misfit,
    cells_text,
    expect_grid_roles,
    expect_no_anchors,
    expect_raw,
    expect_shape,
)
from edge.decode.scores import BYTE_VALUES, every_byte, softmax
from edge.decode.selection import Scores, selectors_of
from edge.model.description import HeadSchema
from edge.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, TensorSpec

StridePx = Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]
# The powers of all bytes of a tensor span e^80, which float32 holds: no softmax needs its greatest.
MAX_SPAN = 80.0
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
    stride_px: StridePx


class AnchorFreeHead(HeadSchema, frozen=True, kw_only=True, tag="anchor_free"):
    """Raw grids without anchors (YOLOX, YOLOv6, v8 to v12, v26); scores are sigmoids.

    Attributes:
        boxes: What a raw box says, in strides. `center_exp`: centre from the cell's corner, and
            the logarithm of width and height (YOLOX). `distances`: left, top, right, bottom from
            the cell's centre (bins is 1; YOLOv6, v26). `distribution`: each of these as the mean of
            a softmax over bins 0, 1, 2 … (v6 M and L, v8 to v12; Li et al. 2020, "Generalized Focal
            Loss").
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
        cells = cells_of(spec, grid.stride_px)
        widths = {grid.boxes: BOX_SIDES * head.bins, grid.scores: labels}
        if grid.objectness is not None:
            widths[grid.objectness] = 1
        for role, width in widths.items():
            reason = f"a stride of {grid.stride_px} px, {head.bins} bins and {labels} labels"
            expect_shape(spec, role, (1, *cells, width), reason=reason)


def _roles(grid: AnchorFreeGrid) -> list[str]:
    return [role for role in (grid.boxes, grid.scores, grid.objectness) if role is not None]


def cells_of(spec: ModelSpec, stride_px: int) -> tuple[int, int]:
    """Return the rows and columns that a stride makes of the input; the last may be a part."""
    width, height = spec.description.input.size_wh
    return math.ceil(height / stride_px), math.ceil(width / stride_px)


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
        grids, scores = [], []
        for grid in head.grids:
            output = spec.outputs[grid.boxes]
            rows, columns = output.shape[1:3]
            means = Means(output, head.bins) if head.boxes == "distribution" else None
            geometry = geometry_of(rows, columns, stride_px=grid.stride_px, inset=inset)
            grids.append(Grid(grid.boxes, geometry, BOX_SIDES * head.bins, means))
            scores.append(Scores(grid.scores, rows * columns, grid.objectness))
        selectors = selectors_of(spec, scores, thresholds.score, activation="sigmoid")
        super().__init__(spec, grids, thresholds, selectors=selectors)

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode what a box says, in strides."""
        if self._boxes_kind == "center_exp":
            place_center_exp(raw, geometry, out=out)
            return
        sides = raw.astype(np.float64)
        clamp_inplace(sides, MAX_CELLS)
        origins_xy, stride_px = geometry[:, :2], geometry[:, 2:]
        np.multiply(origins_xy - sides[:, :2], stride_px, out=out[:, :2])
        np.multiply(origins_xy + sides[:, 2:], stride_px, out=out[:, 2:])


def place_center_exp(
    raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
) -> None:
    """Decode `(n, 4)` boxes of YOLOX, as `AnchorFreeDecoder.place`."""
    numbers = raw.astype(np.float64)
    clamp_inplace(numbers[:, :2], MAX_CELLS)
    clamp_inplace(numbers[:, 2:], MAX_EXPONENT)
    stride_px = geometry[:, 2:]
    centers_xy = (geometry[:, :2] + numbers[:, :2]) * stride_px
    halves_wh = np.exp(numbers[:, 2:]) * (stride_px * 0.5)
    np.subtract(centers_xy, halves_wh, out=out[:, :2])
    np.add(centers_xy, halves_wh, out=out[:, 2:])


class Means:
    """Turns rows of raw distributions into the mean bin of each one's softmax.

    Args:
        output: Whose rows are `(4 * bins,)`.
        bins: Of each side of a box.
    """

    def __init__(self, output: TensorSpec, bins: int) -> None:
        self._dequantize = output.quant.dequantize
        self._bins = bins
        self._moments = np.stack([np.ones(bins), np.arange(bins)], axis=1, dtype=np.float32)
        self._powers: NDArray[np.float32] | None = None
        if output.dtype.itemsize == 1 and output.quant.scale * BYTE_VALUES <= MAX_SPAN:
            steps = every_byte(output.dtype).astype(np.float64)
            self._powers = np.exp((steps - steps.mean()) * output.quant.scale).astype(np.float32)

    def __call__(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return of `(n, 4 * bins)` the means, `(n, 4)`.

        NaN where infinity or NaN is among the raw. Of bytes, a table holds the powers: 25 µs for
        100 boxes of 16 bins in three grids, which take 42 when they are computed (x86, NumPy 2.4).
        """
        if self._powers is not None:
            return self._means(self._powers.take(raw.view(np.uint8)))
        powers = softmax(self._dequantize(raw).reshape(len(raw), BOX_SIDES, self._bins))
        with np.errstate(invalid="ignore"):
            return self._means(powers)

    def _means(self, powers: NDArray[np.float32]) -> NDArray[np.float32]:
        sums = powers.reshape(-1, self._bins) @ self._moments  # (n * 4, 2)
        means: NDArray[np.float32] = sums[:, 1] / sums[:, 0]
        return means.reshape(-1, BOX_SIDES)


def geometry_of(rows: int, columns: int, *, stride_px: int, inset: float) -> NDArray[np.float64]:
    """Return of each cell its origin (x, y), in cells, and its side, pixels, `(H * W, 3)`."""
    table = np.empty((rows, columns, 3))
    table[..., 0] = np.arange(columns) + inset
    table[..., 1] = np.arange(rows)[:, None] + inset
    table[..., 2] = stride_px
    return table.reshape(-1, 3)
