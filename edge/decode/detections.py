"""The head `detections`: the end result, as a graph or a chip computed it.

So end SSDs behind `TFLite_Detection_PostProcess`, end-to-end YOLOs (`[1, 300, 6]`), and the results
of accelerators that suppress themselves. Nothing is left but the threshold, the unit and the order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from edge.decode.boxes import BOX_SIDES, BoxDecoder, Grid, clamp_inplace
from edge.decode.checks import Misfit, expect_no_anchors, expect_raw, expect_roles
from edge.decode.scores import least_raw
from edge.model.description import HeadSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.decode.selection import Found
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

Corners = Literal["xyxy", "yxyx", "cxcywh"]
Units = Literal["pixels", "ratios"]
# Of a row: x1, y1, x2, y2, score, class.
ROW_SCORE, ROW_CLASS, ROW_WIDTH = 4, 5, 6
# Far over any input, and small enough that no area of a box overflows float32.
MAX_SIDE_PX = 2.0**16
SEPARATE = ("boxes", "scores", "classes")
NUMBERS = ("classes", "count")  # may have integers that no other output has


class DetectionsHead(HeadSchema, frozen=True, kw_only=True, tag="detections"):
    """What was detected, row by row, in any order; a score is in [0, 1], a class is its number.

    Output roles: `rows` `(1, N, 6)`, a row being the box's four numbers, score, class. Or `boxes`
    `(1, N, 4)`, `scores` `(1, N)` and `classes` `(1, N)`. Either way `count` `(1,)` may say how
    many rows are in use; without it, those are whose score reaches the threshold.

    Attributes:
        boxes: The four numbers: corners, x or y first, or centre and sides.
        units: Of the boxes: `pixels` of the input, or `ratios`, shares of its sides.
        first_class: Number of the class that label 0 belongs to: 1 where 0 is the background.
        suppressed: No two of them are the same object; else they are suppressed here.
    """

    boxes: Corners = "xyxy"
    units: Units = "pixels"
    first_class: Annotated[int, Meta(ge=0, le=1000)] = 0
    suppressed: bool = True


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs.

    Raises:
        Misfit: They disagree.
    """
    expect_no_anchors(spec.description)
    expect_raw(spec, integers=NUMBERS)
    wanted = {"rows"} if "rows" in spec.outputs else set(SEPARATE)
    expect_roles(spec, wanted | ({"count"} & spec.outputs.keys()), head="a head of detections")
    rows = _rows(spec)
    for role, output in spec.outputs.items():
        width = {"rows": ROW_WIDTH, "boxes": BOX_SIDES}.get(role, 1)
        wanted_shape = (1,) if role == "count" else (1, rows, width) if width > 1 else (1, rows)
        if _bare(output.shape) != _bare(wanted_shape) or not rows:
            raise Misfit(
                f"output {role} is {output.shape}, but {rows} detections need {wanted_shape}"
            )


def _rows(spec: ModelSpec) -> int:
    shape = spec.outputs["rows" if "rows" in spec.outputs else "boxes"].shape
    return shape[-2] if len(shape) > 1 else 0


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its axes of length 1, which exporters put and leave out at will."""
    return tuple(side for side in shape if side != 1)


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(DetectionsHead)
    rest = "" if head.suppressed else ", suppressed here"
    return [("head", f"detections, {_rows(spec)} rows, {head.boxes} in {head.units}{rest}")]


class DetectionsDecoder(BoxDecoder):
    """Reads the rows of one model.

    Args:
        spec: The model; its head is a `DetectionsHead`.
        thresholds: Of a detection.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(DetectionsHead)
        grid = Grid("rows" if "rows" in spec.outputs else "boxes", np.empty((_rows(spec), 0)))
        if head.suppressed:
            thresholds = thresholds.changed(suppression="none")
        super().__init__(spec, [grid], thresholds, selectors=[_Rows(spec, thresholds.score)])
        self._to_pixels = BoxUnits(spec, head.boxes, head.units)

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Turn boxes into xyxy, input pixels."""
        del geometry
        self._to_pixels(raw, out=out)


class BoxUnits:
    """Turns the boxes that a graph decoded into xyxy, input pixels.

    Args:
        spec: The model.
        corners: Order of the four numbers.
        units: What they count.
    """

    def __init__(self, spec: ModelSpec, corners: Corners, units: Units) -> None:
        width, height = spec.description.input.size_wh if units == "ratios" else (1, 1)
        sides = [height, width] if corners == "yxyx" else [width, height]
        self._corners = corners
        self._pixels = np.array(sides * 2, np.float64)

    def __call__(self, raw: NDArray[np.float32], *, out: NDArray[np.float32]) -> None:
        """Write the boxes of `(n, 4)` raw ones to `out` `(n, 4)`; NaN stays NaN."""
        boxes = raw * self._pixels
        clamp_inplace(boxes, MAX_SIDE_PX)
        if self._corners == "cxcywh":
            halves = boxes[:, 2:] * 0.5
            np.subtract(boxes[:, :2], halves, out=out[:, :2])
            np.add(boxes[:, :2], halves, out=out[:, 2:])
        elif self._corners == "yxyx":
            out[:, 0::2], out[:, 1::2] = boxes[:, 1::2], boxes[:, 0::2]
        else:
            out[:] = boxes


class _Rows:
    """Selects the rows in use that reach the threshold, of classes that have a label."""

    def __init__(self, spec: ModelSpec, threshold: float) -> None:
        self._labels = len(spec.description.labels)
        self._first_class = spec.description.head_as(DetectionsHead).first_class
        is_joint = "rows" in spec.outputs
        self._scores = _Column(spec.outputs, *(("rows", ROW_SCORE) if is_joint else ("scores", 0)))
        self._classes = _Column(
            spec.outputs, *(("rows", ROW_CLASS) if is_joint else ("classes", 0))
        )
        self._count = _Column(spec.outputs, "count", 0) if "count" in spec.outputs else None
        self._least = least_raw(self._scores.tensor, threshold, "none")
        self._passes = np.zeros(_rows(spec), np.bool_)

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield what reaches the threshold."""
        if self._least is None:
            return
        count = len(self._passes)
        if self._count is not None:
            told = float(self._count.real(tensors)[0])
            count = min(count, max(0, round(told))) if math.isfinite(told) else 0
        passes = self._passes[:count]
        np.greater_equal(self._scores.raw(tensors)[:count], self._least, out=passes)
        rows = passes.nonzero()[0]
        if not len(rows):
            return
        numbers = self._classes.real(tensors, rows)
        class_ids = np.rint(numbers) - self._first_class
        is_known = (class_ids >= 0) & (class_ids < self._labels)  # a damaged one, or NaN, is not
        if not is_known.all():
            rows, class_ids = rows[is_known], class_ids[is_known]
        scores = self._scores.real(tensors, rows)
        np.minimum(scores, 1, out=scores)  # a quantised 1 may come back as the next float
        yield rows, class_ids.astype(np.int64), scores


class _Column:
    """One number of each row: a column of `rows`, or an output for itself."""

    def __init__(self, outputs: dict[str, TensorSpec], role: str, column: int) -> None:
        self.tensor = outputs[role]
        self._role, self._column = role, column
        self._width = ROW_WIDTH if role == "rows" else 1

    def raw(self, tensors: Tensors) -> NDArray[np.generic]:
        """Return the raw values, a view `(N,)`."""
        return tensors[self._role].reshape(-1, self._width)[:, self._column]

    def real(
        self, tensors: Tensors, rows: NDArray[np.int64] | slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return the values of some rows, dequantised, a new array."""
        return self.tensor.quant.dequantize(self.raw(tensors)[rows])
