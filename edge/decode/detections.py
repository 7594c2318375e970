"""The head `detections`: the end result, as a graph or a chip computed it.

So end SSDs behind `TFLite_Detection_PostProcess`, end-to-end YOLOs (`[1, 300, 6]`), and the results
of accelerators that suppress themselves. Nothing is left but the threshold, the unit and the order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from edge.decode.boxes import BOX_SIDES, MAX_SIDE_PX, Candidates
from edge.decode.checks import Misfit, expect_levels, expect_no_anchors, expect_raw, expect_roles
from edge.decode.scores import least_raw
from edge.model.description import HeadSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.detections import Detections

Corners = Literal["xyxy", "yxyx", "cxcywh"]
Units = Literal["pixels", "ratios"]
# Of a row: x1, y1, x2, y2, score, class.
ROW_SCORE, ROW_CLASS, ROW_WIDTH = 4, 5, 6
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
    if "rows" in spec.outputs:
        expect_levels(spec, "rows")
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


class DetectionsDecoder:
    """Reads the rows of one model.

    Args:
        spec: The model; its head is a `DetectionsHead`.
        thresholds: Of a detection.

    Attributes:
        candidates: The rows of the last frame that reach the threshold.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(DetectionsHead)
        if head.suppressed:
            thresholds = thresholds.of_suppressed()
        self.candidates = Candidates(thresholds)
        self._labels, self._first_class = len(spec.description.labels), head.first_class
        self._outputs = spec.outputs
        self._scores = "rows" if "rows" in spec.outputs else "scores"
        self._least = least_raw(spec.outputs[self._scores], thresholds.score, "none")
        self._passes = np.zeros(_rows(spec), np.bool_)
        self._may_be_nan = any(tensor.dtype.kind == "f" for tensor in spec.outputs.values())
        self._to_pixels = BoxUnits(spec, head.boxes, head.units)

    @property
    def bounds(self) -> list[int]:
        """The first row, and behind it the number of all rows."""
        return [0, len(self._passes)]

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what one frame shows, on the source frame; borrowed until the next call."""
        self.find(tensors)
        return self.candidates.detections(placement, clock)

    def find(self, tensors: Tensors) -> int:
        """Find the rows in use that reach the threshold and have a label; return their number."""
        found = self.candidates
        found.clear()
        rows = self._passing(tensors)
        if not len(rows):
            return 0
        numbers = self._numbers(tensors, rows)
        class_ids = np.rint(numbers[:, ROW_CLASS]) - self._first_class
        has_label = (class_ids >= 0) & (class_ids < self._labels)  # NaN has none
        if not has_label.all():
            rows, numbers, class_ids = rows[has_label], numbers[has_label], class_ids[has_label]
        scores = numbers[:, ROW_SCORE]
        np.minimum(scores, 1, out=scores)  # a quantised 1 may come back as the next float
        found.add(rows, class_ids.astype(np.int64), scores)
        if found.count < len(rows):
            numbers = numbers.take(rows.searchsorted(found.cells[: found.count]), axis=0)
        self._to_pixels(numbers[:, :BOX_SIDES], out=found.boxes[: found.count])
        return found.drop_nan() if self._may_be_nan else found.count

    def place_cells(
        self, tensors: Tensors, cells: NDArray[np.int64], *, out: NDArray[np.float32]
    ) -> None:
        """Read the boxes of some rows to `(n, 4)` xyxy, input pixels, not clipped."""
        self._to_pixels(self._numbers(tensors, cells)[:, :BOX_SIDES], out=out)

    def _passing(self, tensors: Tensors) -> NDArray[np.int64]:
        """Return the rows in use that reach the threshold."""
        count = len(self._passes)
        if "count" in tensors:
            told = float(self._outputs["count"].quant.dequantize(tensors["count"]).reshape(-1)[0])
            count = min(count, max(0, round(told))) if math.isfinite(told) else 0
        if self._least is None or not count:
            return np.empty(0, np.int64)
        scores = tensors[self._scores].reshape(len(self._passes), -1)
        column = ROW_SCORE if self._scores == "rows" else 0
        passes = np.greater_equal(scores[:count, column], self._least, out=self._passes[:count])
        return passes.nonzero()[0]

    def _numbers(self, tensors: Tensors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the six numbers of these rows, dequantised, a new array `(n, 6)`."""
        parts = []
        for role in ("rows",) if self._scores == "rows" else SEPARATE:
            raw = tensors[role].reshape(len(self._passes), -1)[rows]
            parts.append(self._outputs[role].quant.dequantize(raw))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


class BoxUnits:
    """Turns the boxes that a graph decoded into xyxy, input pixels.

    Args:
        spec: The model.
        corners: Order of the four numbers.
        units: What they count.
    """

    def __init__(self, spec: ModelSpec, corners: Corners, units: Units) -> None:
        width, height = spec.description.input.size_wh
        sides = [height, width] if corners == "yxyx" else [width, height]
        self._corners = corners
        self._pixels = np.array(sides * 2, np.float32) if units == "ratios" else None

    def __call__(self, raw: NDArray[np.float32], *, out: NDArray[np.float32]) -> None:
        """Write the boxes of `(n, 4)` raw ones to `out` `(n, 4)`; NaN stays NaN."""
        np.minimum(raw, MAX_SIDE_PX, out=out)
        np.maximum(out, -MAX_SIDE_PX, out=out)
        if self._pixels is not None:
            out *= self._pixels
        if self._corners == "cxcywh":
            halves = out[:, 2:] * np.float32(0.5)
            np.add(out[:, :2], halves, out=out[:, 2:])
            out[:, :2] -= halves
        elif self._corners == "yxyx":
            out[:] = out[:, (1, 0, 3, 2)]
