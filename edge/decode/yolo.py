"""The head `yolo`: raw YOLO grids with anchors.

Source: Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement", section 2.1; the factor of
the centre: Bochkovskiy et al. 2020, "YOLOv4", section 3.4 (grid sensitivity); squared sides: the
public definition of YOLOv5, ``(2 sigmoid(t))^2 * anchor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

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
    grid_cells,
)
from edge.decode.scores import sigmoid_inplace
from edge.decode.selection import Scores, selectors_of
from edge.model.description import HeadSchema
from edge.record import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec

# Of a combined row: tx, ty, tw, th, objectness, classes.
COMBINED_CLASSES = 5
SidePx = Annotated[float, Meta(gt=0, le=MAX_SIDE_PX)]


class YoloGrid(Record, frozen=True, kw_only=True):
    """One grid of H x W cells with B anchors each, over the whole input.

    With three output roles, of shapes `(1, H, W, B * 4)` (tx, ty, tw, th), `(1, H, W, B)` and
    `(1, H, W, B * C)`, anchor by anchor. The three may be one and the same role: then its
    `(1, H, W, B * (5 + C))` channels are, anchor by anchor, tx, ty, tw, th, objectness, classes.

    Attributes:
        boxes: Output role of the raw box offsets.
        objectness: Output role of the raw objectness.
        scores: Output role of the raw class scores.
        anchors_px: Width and height of each of the B anchors, input pixels.
        scale_xy: Of the centre in its cell, `scale_x_y` of Darknet:
            ``scale_xy * sigmoid(t) - (scale_xy - 1) / 2``.
    """

    boxes: str
    objectness: str
    scores: str
    anchors_px: Annotated[tuple[tuple[SidePx, SidePx], ...], Meta(min_length=1)]
    scale_xy: Annotated[float, Meta(ge=1, le=16)] = 1.0


class YoloHead(HeadSchema, frozen=True, kw_only=True, tag="yolo"):
    """Raw YOLO grids with anchors (v2 to v7); a score is sigmoid(objectness) times the class's.

    Attributes:
        sides: How a raw side becomes pixels: `exp`, anchor times e^t (v2, v3, v4); `square`, anchor
            times (2 sigmoid(t))^2 (v5, v7).
        classes: Independent scores (`sigmoid`), or one among the classes (`softmax`, region of v2).
    """

    grids: Annotated[tuple[YoloGrid, ...], Meta(min_length=1)]
    sides: Literal["exp", "square"] = "exp"
    classes: Literal["sigmoid", "softmax"] = "sigmoid"


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(YoloHead)
    expect_raw(spec)
    expect_no_anchors(spec.description)
    named = [_roles(grid) for grid in head.grids]
    expect_grid_roles(spec, named, head="a YOLO head")
    labels = len(spec.description.labels)
    for grid, names in zip(head.grids, named, strict=True):
        anchors = len(grid.anchors_px)
        widths = [anchors * BOX_SIDES, anchors, anchors * labels]
        if len(names) == 1:
            widths = [sum(widths)]
        cells = grid_cells(grid.boxes, spec.outputs[grid.boxes])
        for role, width in zip(names, widths, strict=True):
            reason = f"{anchors} anchors and {labels} labels"
            expect_shape(spec, role, (1, *cells, width), reason=reason)


def _roles(grid: YoloGrid) -> list[str]:
    """Return the roles of a grid, each once: three, or the one of a combined output."""
    names = list(dict.fromkeys([grid.boxes, grid.objectness, grid.scores]))
    if len(names) == 2:  # noqa: PLR2004 - neither each for itself nor all in one
        raise Misfit(
            "a YOLO grid has its boxes, objectness and scores in three output roles or in one, "
            f"the description names {grid.boxes}, {grid.objectness}, {grid.scores}"
        )
    return names


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(YoloHead)
    lines = [("head", f"yolo, sides {head.sides}, classes {head.classes}")]
    for grid in head.grids:
        anchors = ", ".join(f"{width:g} x {height:g}" for width, height in grid.anchors_px)
        cells = cells_text(spec.outputs[grid.boxes])
        text = (
            f"{cells} cells in {', '.join(_roles(grid))}, centre times {grid.scale_xy:g}, "
            f"anchors {anchors} px"
        )
        lines.append(("grid", text))
    return lines


class YoloDecoder(BoxDecoder):
    """Decodes the grids of one model.

    Args:
        spec: The model; its head is a `YoloHead`.
        thresholds: Of a candidate, and of the detections that are made of them.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(YoloHead)
        self._has_square_sides = head.sides == "square"
        grids = [Grid(grid.boxes, _geometry(grid, spec)) for grid in head.grids]
        scores = [
            _scores(grid, cells=len(placed.geometry))
            for grid, placed in zip(head.grids, grids, strict=True)
        ]
        super().__init__(
            spec,
            grids,
            thresholds,
            selectors=selectors_of(spec, scores, thresholds.score, activation=head.classes),
        )

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode offsets (tx, ty, tw, th) of cells and anchors."""
        offsets = raw.astype(np.float64)
        if self._has_square_sides:
            sigmoid_inplace(offsets)
            sides_wh = np.square(offsets[:, 2:]) * 4
        else:
            clamp_inplace(offsets[:, 2:], MAX_EXPONENT)
            sides_wh = np.exp(offsets[:, 2:])
            sigmoid_inplace(offsets[:, :2])
        centers_xy = offsets[:, :2] * geometry[:, :2] + geometry[:, 2:4]
        halves_wh = sides_wh * geometry[:, 4:]
        np.subtract(centers_xy, halves_wh, out=out[:, :2])
        np.add(centers_xy, halves_wh, out=out[:, 2:])


def _scores(grid: YoloGrid, *, cells: int) -> Scores:
    """Return where the scores of a grid stand, in an output for themselves or behind the box."""
    if grid.scores != grid.boxes:
        return Scores(grid.scores, cells, grid.objectness)
    return Scores(
        grid.scores, cells, grid.objectness, first_class=COMBINED_CLASSES, objectness_at=BOX_SIDES
    )


def _geometry(grid: YoloGrid, spec: ModelSpec) -> NDArray[np.float64]:
    """Return what turns each cell's offsets into pixels, `(H * W * B, 6)`.

    Columns: of the centre, factor (x, y) and origin (x, y), so that it stands at ``sigmoid(t) *
    factor + origin``; half the anchor's sides (w, h).
    """
    rows, columns = spec.outputs[grid.boxes].shape[1:3]
    anchors = len(grid.anchors_px)
    stride_xy = np.array(spec.description.input.size_wh) / (columns, rows)
    table = np.empty((rows, columns, anchors, 6))
    corners_xy = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)  # (H, W, 2)
    table[..., :2] = grid.scale_xy * stride_xy
    table[..., 2:4] = ((corners_xy - (grid.scale_xy - 1) / 2) * stride_xy)[:, :, None]
    table[..., 4:] = np.array(grid.anchors_px) / 2
    return table.reshape(-1, 6)
