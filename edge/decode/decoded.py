"""The head `decoded`: boxes that the graph decoded, with their scores, not suppressed.

So export YOLOv5 to v12 by default (`[1, 84, 8400]`, `[1, 25200, 85]`), YOLOX (`[1, 8400, 85]`, its
boxes left as the grid has them), and DETRs (`[1, 300, 84]`). Source: Ge et al. 2021, "YOLOX",
section 2.1, for `center_exp`; the others are corners, or centre and sides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.decode.anchor_free import StridePx, cells_of, geometry_of, place_center_exp
from edge.decode.boxes import BOX_SIDES, BoxDecoder, Grid
from edge.decode.checks import Misfit, expect_levels, expect_no_anchors, expect_raw, expect_roles
from edge.decode.detections import BoxUnits, Units
from edge.decode.selection import Scores, selectors_of
from edge.model.description import HeadSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec

JOINT, SEPARATE = {"rows"}, {"boxes", "scores"}
ROW_AXES = 3  # batch, row, column; or batch, column, row


class DecodedHead(HeadSchema, frozen=True, kw_only=True, tag="decoded"):
    """Boxes that the graph decoded, with their scores.

    Output roles: `rows`, a row being the box's four numbers, the objectness if there is one, and
    the classes' scores; or `boxes` and `scores`. Each is `(1, N, width)` or `(1, width, N)`: which,
    is told by the number of labels.

    Attributes:
        boxes: The four numbers: corners, x or y first; or centre and sides; or `center_exp`, those
            of YOLOX in the strides of the cell that the row belongs to.
        units: Of the boxes: `pixels` of the input, or `ratios`, shares of its sides.
        strides_px: Of `center_exp`, of each grid of cells, finest first.
        objectness: Behind the box stands a number that each score is multiplied with.
        activation: `none` where the graph activated the scores, else `sigmoid`.
        suppressed: No two boxes are of one object, as DETRs and one-to-one heads promise.
    """

    boxes: Literal["xyxy", "yxyx", "cxcywh", "center_exp"] = "cxcywh"
    units: Units = "pixels"
    strides_px: tuple[StridePx, ...] = ()
    objectness: bool = False
    activation: Literal["none", "sigmoid"] = "none"
    suppressed: bool = False


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(DecodedHead)
    expect_no_anchors(spec.description)
    expect_raw(spec)
    expect_roles(spec, JOINT if "rows" in spec.outputs else SEPARATE, head="a decoded head")
    if "rows" in spec.outputs and head.activation == "none":
        expect_levels(spec, "rows")
    counts = {role: _rows(spec, role, width)[0] for role, width in _widths(spec).items()}
    if len(set(counts.values())) > 1:
        raise Misfit(f"expected a row of scores for each box, found {counts}")
    if (head.boxes == "center_exp") != bool(head.strides_px):
        raise Misfit(
            f"strides_px are of boxes = center_exp and of no other, the description says "
            f"{head.boxes} with strides_px = {list(head.strides_px)}"
        )
    cells = sum(math.prod(cells_of(spec, stride)) for stride in head.strides_px)
    found = next(iter(counts.values()))
    if head.strides_px and cells != found:
        raise Misfit(
            f"strides of {', '.join(map(str, head.strides_px))} px make {cells} cells of the "
            f"input, the outputs have {found} rows"
        )


def _widths(spec: ModelSpec) -> dict[str, int]:
    """Return how wide a row of each role is."""
    scores = spec.description.head_as(DecodedHead).objectness + len(spec.description.labels)
    if "rows" in spec.outputs:
        return {"rows": BOX_SIDES + scores}
    return {"boxes": BOX_SIDES, "scores": scores}


def _rows(spec: ModelSpec, role: str, width: int) -> tuple[int, bool]:
    """Return how many rows an output has, and whether they are its columns."""
    shape = spec.outputs[role].shape
    if len(shape) == ROW_AXES and shape[0] == 1 and min(shape) > 0:
        if shape[1:] == (width, width):
            raise Misfit(f"output {role} is {shape}: rows or columns of {width}, both are possible")
        if shape[2] == width:
            return shape[1], False
        if shape[1] == width:
            return shape[2], True
    raise Misfit(
        f"output {role} is {shape}, but {len(spec.description.labels)} labels need (1, N, {width}) "
        f"or (1, {width}, N)"
    )


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(DecodedHead)
    role, width = next(iter(_widths(spec).items()))
    count, _ = _rows(spec, role, width)
    objectness = ", with objectness" if head.objectness else ""
    return [("head", f"decoded, {count} rows, {head.boxes} in {head.units}{objectness}")]


class DecodedDecoder(BoxDecoder):
    """Reads the rows of one model.

    Args:
        spec: The model; its head is a `DecodedHead`.
        thresholds: Of a candidate, and of the detections that are made of them.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(DecodedHead)
        widths = _widths(spec)
        boxes, scores = ("rows", "rows") if "rows" in widths else ("boxes", "scores")
        count, is_turned = _rows(spec, boxes, widths[boxes])
        before = BOX_SIDES if boxes == scores else 0
        geometry = np.empty((count, 0))
        if head.strides_px:
            geometry = np.concatenate(
                [
                    geometry_of(*cells_of(spec, stride), stride_px=stride, inset=0.0)
                    for stride in head.strides_px
                ]
            )
        if head.suppressed:
            thresholds = thresholds.of_suppressed()
        super().__init__(
            spec,
            [Grid(boxes, geometry, is_turned=is_turned)],
            thresholds,
            selectors=selectors_of(
                spec,
                [
                    Scores(
                        scores,
                        count,
                        scores if head.objectness else None,
                        first_class=before + head.objectness,
                        objectness_at=before,
                        is_turned=_rows(spec, scores, widths[scores])[1],
                    )
                ],
                thresholds.score,
                activation=head.activation,
                objectness=head.activation,
            ),
        )
        self._to_pixels = None
        if head.boxes != "center_exp":
            self._to_pixels = BoxUnits(spec, head.boxes, head.units)

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Turn boxes into xyxy, input pixels."""
        if self._to_pixels is None:
            place_center_exp(raw, geometry, out=out)
        else:
            self._to_pixels(raw, out=out)
