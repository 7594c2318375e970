"""The head `ssd`: raw SSD outputs, thresholded as they are, dequantised only where they pass.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", eq. 2; the factors that undo its
variances are the head's `box_scales`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.decode.boxes import BOX_SIDES, MAX_EXPONENT, BoxDecoder, Grid, clamp_inplace
from edge.decode.checks import Misfit, expect_raw, expect_roles, expect_shape
from edge.decode.selection import Scores, selectors_of
from edge.model.description import HeadSchema
from edge.record import PositiveFloat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec

SCORE_AXES = 3  # batch, anchor, class
MAX_ANCHOR_RATIO = 16.0  # of the input's sides; keeps the area of any decoded box finite


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


class SsdDecoder(BoxDecoder):
    """Decodes the anchors of one model, one grid of them.

    Args:
        spec: The model; its outputs are `boxes` `(1, A, 4)` and `scores` `(1, A, C)`.
        thresholds: Of a candidate, and of the detections that are made of them.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(SsdHead)
        width, height = spec.description.input.size_wh
        size = np.array([height, width, height, width], np.float64)
        anchors_px: NDArray[np.float64] = _anchors(spec) * size
        super().__init__(
            spec,
            [Grid("boxes", anchors_px)],
            thresholds,
            selectors=selectors_of(
                spec,
                [Scores("scores", len(anchors_px), first_class=int(head.background))],
                thresholds.score,
                activation=head.activation,
            ),
        )
        self._box_scales = np.array(head.box_scales)

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode offsets (ty, tx, th, tw) of anchors (cy, cx, h, w).

        In float64, as TensorFlow Lite's own decoder computes; for so few it costs nothing.
        """
        offsets = raw / self._box_scales
        clamp_inplace(offsets, MAX_EXPONENT)
        sides_yx = geometry[:, 2:]  # (n, 2)
        centers_yx = offsets[:, :2] * sides_yx + geometry[:, :2]
        halves_yx = np.exp(offsets[:, 2:]) * (sides_yx * 0.5)
        np.subtract(centers_yx, halves_yx, out=out[:, 1::-1])  # columns 1 and 0
        np.add(centers_yx, halves_yx, out=out[:, :1:-1])  # columns 3 and 2


def _anchors(spec: ModelSpec) -> NDArray[np.float32]:
    if spec.description.anchors is None:
        raise ValueError("an SSD head needs anchors, got none")
    return spec.description.anchors
