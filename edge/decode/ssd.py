"""The head `ssd`: raw SSD outputs, thresholded as they are, dequantised only where they pass.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", eq. 2; the factors that undo its
variances are the head's `box_scales`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.decode.activation import Activation, clamp_inplace, least_raw, logit, make_quiet_inplace
from edge.decode.candidates import Candidates, Flags, best_rows
from edge.decode.checks import Misfit, expect_raw, expect_roles, expect_shape
from edge.model.description import HeadSchema
from edge.record import PositiveFloat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.detections import Detections

BOX_SIDES = 4
SCORE_AXES = 3  # batch, anchor, class
MAX_ANCHOR_RATIO = 16.0  # of the input's sides; keeps the area of any decoded box finite
# In anchor sides, and as the logarithm of a side's growth. Only a damaged float output comes near:
# real ones stay below 5, and e^32 still leaves the area of a box finite in float32.
MAX_OFFSET = 32.0


class SsdHead(HeadSchema, frozen=True, kw_only=True, tag="ssd"):
    """Raw SSD outputs, roles `boxes` `(1, A, 4)` (ty, tx, th, tw) and `scores` `(1, A, C)`.

    Attributes:
        box_scales: Divisors of (ty, tx, th, tw); the inverse variances of Liu et al. 2016, eq. 2.
        activation: What turns a raw score into [0, 1]: `sigmoid`, or `none` where the graph did it.
        background: Column 0 of `scores` is "no object" and label 0 belongs to column 1.
    """

    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (
        10.0,
        10.0,
        5.0,
        5.0,
    )
    activation: Literal["sigmoid", "none"] = "sigmoid"
    background: bool = True


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs, the labels and the anchors.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(SsdHead)
    expect_raw(spec)
    expect_roles(spec, {"boxes", "scores"}, head="an SSD head")
    anchors = spec.description.anchors
    count = 0 if anchors is None else len(anchors)
    labels = len(spec.description.labels)
    columns = labels + head.background
    reason = "the head and its anchors"
    expect_shape(spec, "boxes", (1, count, BOX_SIDES), reason=reason)
    found = spec.outputs["scores"].shape
    if len(found) == SCORE_AXES and found[-1] != columns:
        background = " and background" if head.background else ""
        raise Misfit(
            f"the description has {labels} labels, but the scores have {found[-1]} columns, "
            f"expected {columns} (labels{background})"
        )
    expect_shape(spec, "scores", (1, count, columns), reason=reason)
    greatest = 0.0 if anchors is None else float(np.abs(anchors).max(initial=0))
    if greatest > MAX_ANCHOR_RATIO:
        raise Misfit(
            f"anchors are shares of the input, at most {MAX_ANCHOR_RATIO:g}, found {greatest:g}"
        )


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(SsdHead)
    background = ", column 0 is background" if head.background else ""
    anchors = len(_anchors(spec))
    return [("head", f"ssd, {anchors} anchors, score activation {head.activation}{background}")]


class SsdDecoder:
    """Decodes the tensors of one model into buffers of its own.

    Args:
        spec: The model; its outputs are `boxes` `(1, A, 4)` and `scores` `(1, A, C)`.
        thresholds: Of a candidate, and of the detections that are made of them.

    Attributes:
        candidates: Those of the last frame.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(SsdHead)
        anchors, columns = spec.outputs["scores"].shape[1:]
        self.candidates = Candidates(thresholds)
        self._columns = columns
        self._has_background = head.background
        self._boxes_quant = spec.outputs["boxes"].quant
        self._may_be_nan = spec.outputs["boxes"].dtype.kind == "f"
        real = logit(thresholds.score) if head.activation == "sigmoid" else thresholds.score
        self._threshold = least_raw(spec.outputs["scores"], real)
        self._activate = Activation(spec.outputs["scores"], head.activation)
        self._passes = Flags(anchors * columns)
        self._anchors_px = _anchors_px(spec)
        self._box_scales = np.array(head.box_scales)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what one frame shows, on the source frame; borrowed until the next call."""
        self.find(tensors)
        return self.candidates.detections(placement, clock)

    def find(self, tensors: Tensors) -> int:
        """Find the candidates of one frame, as `Candidates` has them; return their number."""
        found = self.candidates
        found.count = 0
        if self._threshold is None:
            return 0
        raw_scores = tensors["scores"].reshape(-1)  # (A * C,)
        np.greater_equal(raw_scores, self._threshold, out=self._passes.each)
        if self._has_background:
            self._passes.each[:: self._columns] = False
        flat = self._passes.positions()  # (n,)
        raw = raw_scores[flat]
        if len(flat) > len(found.scores):
            best = best_rows(raw, keep=len(found.scores))
            flat, raw = flat[best], raw[best]
        count = len(flat)
        if count == 0:
            return 0
        rows = flat // self._columns  # and not `divmod`, which is three times as slow
        np.subtract(flat, rows * self._columns, out=found.class_ids[:count])
        found.class_ids[:count] -= self._has_background
        found.scores[:count] = self._activate(raw)
        self._fill_boxes(tensors["boxes"][0].take(rows, axis=0), rows)
        found.count = count
        return found.drop_nan() if self._may_be_nan else count

    def _fill_boxes(self, raw: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Decode `(n, 4)` raw offsets (ty, tx, th, tw) of the anchors in `rows`.

        In float64, as TensorFlow Lite's own decoder computes; for so few it costs nothing.
        """
        real = self._boxes_quant.dequantize(raw)  # (n, 4)
        if self._may_be_nan:
            make_quiet_inplace(real)
        offsets = real / self._box_scales
        clamp_inplace(offsets, MAX_OFFSET)
        anchors = self._anchors_px.take(rows, axis=0)
        sides_yx = anchors[:, 2:]  # (n, 2)
        centers_yx = offsets[:, :2] * sides_yx + anchors[:, :2]
        halves_yx = np.exp(offsets[:, 2:]) * (sides_yx * 0.5)
        boxes = self.candidates.boxes[: len(raw)]
        np.subtract(centers_yx, halves_yx, out=boxes[:, 1::-1])  # columns 1 and 0
        np.add(centers_yx, halves_yx, out=boxes[:, :1:-1])  # columns 3 and 2


def _anchors_px(spec: ModelSpec) -> NDArray[np.float64]:
    """Return the anchors as `(A, 4)` float64 centre-size (cy, cx, h, w), input pixels."""
    width, height = spec.description.input.size_wh
    size = np.array([height, width, height, width], np.float64)
    anchors_px: NDArray[np.float64] = _anchors(spec) * size
    return anchors_px


def _anchors(spec: ModelSpec) -> NDArray[np.float32]:
    if spec.description.anchors is None:
        raise ValueError("an SSD head needs anchors, got none")
    return spec.description.anchors
