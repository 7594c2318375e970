"""The heads that the runtime decodes: what the raw outputs of a model mean, by output role.

Every spatial output is laid out as LiteRT has it: batch, row, column, channel.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.record import PositiveFloat, Record

NonEmpty = Annotated[int, Field(ge=1)]
# Far over any input, and small enough that no area of a box overflows float32.
MAX_SIDE_PX = 2**16
SidePx = Annotated[float, Field(gt=0, le=MAX_SIDE_PX)]


class SsdHead(Record):
    """Raw SSD outputs, roles `boxes` `(1, A, 4)` (ty, tx, th, tw) and `scores` `(1, A, C)`.

    Attributes:
        box_scales: Divisors of (ty, tx, th, tw); the inverse variances of Liu et al. 2016, eq. 2.
        activation: What turns a raw score into [0, 1]: `sigmoid`, or `none` where the graph did it.
        background: Column 0 of `scores` is "no object" and label 0 belongs to column 1.
    """

    kind: Literal["ssd"] = "ssd"
    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (
        10.0,
        10.0,
        5.0,
        5.0,
    )
    activation: Literal["sigmoid", "none"] = "sigmoid"
    background: bool = True


class YoloGrid(Record):
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
    anchors_px: Annotated[tuple[tuple[SidePx, SidePx], ...], Field(min_length=1)]
    scale_xy: Annotated[float, Field(ge=1, le=16)] = 1.0


class YoloHead(Record):
    """Raw YOLO grids with anchors (v2 to v7); a score is sigmoid(objectness) times the class's.

    Attributes:
        sides: How a raw side becomes pixels: `exp`, anchor times e^t (v2, v3, v4); `square`, anchor
            times (2 sigmoid(t))^2 (v5, v7).
        classes: Independent scores (`sigmoid`), or one among the classes (`softmax`, region of v2).
    """

    kind: Literal["yolo"] = "yolo"
    grids: Annotated[tuple[YoloGrid, ...], Field(min_length=1)]
    sides: Literal["exp", "square"] = "exp"
    classes: Literal["sigmoid", "softmax"] = "sigmoid"


class AnchorFreeGrid(Record):
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
    stride_px: Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]


class AnchorFreeHead(Record):
    """Raw grids without anchors (YOLOX, YOLOv6, v8 to v11); scores are sigmoids.

    Attributes:
        boxes: What a raw box says, in strides. `center_exp`: centre from the cell's corner, and
            the logarithm of width and height (YOLOX). `distances`: left, top, right, bottom from
            the cell's centre (bins is 1; YOLOv6). `distribution`: each of these as the mean of a
            softmax over bins 0, 1, 2 … (v8, v9, v11; Li et al. 2020, "Generalized Focal Loss").
        bins: Of each side; 1 unless `distribution`.
    """

    kind: Literal["anchor_free"] = "anchor_free"
    grids: Annotated[tuple[AnchorFreeGrid, ...], Field(min_length=1)]
    boxes: Literal["center_exp", "distances", "distribution"]
    bins: NonEmpty = 1


class SegmentationHead(Record):
    """A class for each cell of the output role `classes`.

    Attributes:
        activation: What the output holds. `sigmoid`: raw scores `(1, H, W, 1)` of the foreground,
            labels are (background, foreground); `softmax`: raw scores `(1, H, W, C)`; `none`:
            probabilities of either shape, as the graph made them; `argmax`: class ids, integers,
            `(1, H, W)` or `(1, H, W, 1)`.
        background: Class id that is nothing in particular and is left out of results, or `None`.
    """

    kind: Literal["segmentation"] = "segmentation"
    activation: Literal["sigmoid", "softmax", "none", "argmax"]
    background: int | None = 0


Head = Annotated[
    SsdHead | YoloHead | AnchorFreeHead | SegmentationHead, Field(discriminator="kind")
]
