"""Raw scores that no threshold tells apart take no levels, of whatever family the detector is."""

from __future__ import annotations

import math

import pytest

from calibration.ranges import Range
from converter.quantize.scores import saturate_scores, score_roles
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloGrid, YoloHead

pytestmark = pytest.mark.converter
SCALES = (10.0, 10.0, 5.0, 5.0)


def yolo(*roles, classes="sigmoid"):
    boxes, objectness, scores = roles
    grid = YoloGrid(boxes=boxes, objectness=objectness, scores=scores, anchors_px=((8, 8),))
    return YoloHead(grids=(grid,), classes=classes)


def anchor_free(objectness):
    grid = AnchorFreeGrid(boxes="b", scores="s", objectness=objectness, stride_px=8)
    return AnchorFreeHead(grids=(grid,), boxes="center_exp")


@pytest.mark.parametrize(
    ("head", "roles"),
    [
        (SsdHead(box_scales=SCALES, background=True), {"scores"}),
        (SsdHead(box_scales=SCALES, background=True, activation="none"), set()),
        (yolo("b", "o", "s"), {"o", "s"}),
        (yolo("b", "o", "s", classes="softmax"), {"o"}),
        (yolo("all", "all", "all"), set()),
        (anchor_free("o"), {"o", "s"}),
        (anchor_free(None), {"s"}),
        (SegmentationHead(activation="softmax"), set()),
    ],
    ids=["ssd", "ssd, scores as they are", "yolo", "yolo, softmax", "yolo, one tensor", "yolox",
         "v8", "masks"],
)  # fmt: skip
def test_each_family_says_which_outputs_are_nothing_but_raw_scores(head, roles):
    assert score_roles(head) == roles


def test_raw_scores_are_saturated_at_the_logit_of_the_floor():
    ranges = {"s": Range(-35.0, 17.0), "o": Range(-20.0, -9.0), "boxes": Range(-9.0, 7.0)}

    saturated = saturate_scores(ranges, ["s", "o"], floor=0.001)

    assert saturated["s"].min == pytest.approx(math.log(0.001 / 0.999))
    assert saturated["s"].max == 17.0
    assert saturated["o"] == ranges["o"], "a grid that saw nothing keeps its levels"
    assert saturated["boxes"] == ranges["boxes"]


def test_a_floor_of_zero_or_below_the_observed_range_changes_nothing():
    ranges = {"scores": Range(-3.0, 2.0)}

    assert saturate_scores(ranges, ["scores"], floor=0) == ranges
    assert saturate_scores(ranges, ["scores"], floor=0.001) == ranges
