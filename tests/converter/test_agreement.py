"""Agreement counts what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converter.agreement import agree, box_ious, count_matches, mask_iou
from edge.results.class_map import ClassMap
from edge.results.detections import Detections

pytestmark = pytest.mark.board

GRID = 40
BOX = (0, 0, 100, 100)
IMAGE = Path("a.jpg")
small_maps = arrays.arrays(np.uint8, (5, 4), elements=st.integers(0, 3))


def detections(*rows):
    boxes, scores, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32),
        np.array(ids, np.int32),
    )  # fmt: skip


@st.composite
def boxes(draw):
    side = st.integers(0, GRID)
    x, y = sorted([draw(side), draw(side)]), sorted([draw(side), draw(side)])
    return [x[0], y[0], x[1], y[1]]


@given(first=boxes(), second=boxes())
def test_iou_equals_that_of_painted_pixels(first, second):
    painted = np.zeros((2, GRID, GRID), bool)
    for layer, (x0, y0, x1, y1) in zip(painted, (first, second), strict=True):
        layer[y0:y1, x0:x1] = True
    union = (painted[0] | painted[1]).sum()
    expected = (painted[0] & painted[1]).sum() / union if union else 0.0

    (found,) = box_ious(np.array(first, np.float32), np.array([second], np.float32))

    assert found == pytest.approx(expected)


def test_each_detection_is_found_again_by_one_of_its_own():
    wanted = detections((BOX, 0.9, 1), (BOX, 0.8, 1))
    everything = np.array([True, True])

    assert count_matches(wanted, detections((BOX, 0.9, 1)), everything) == 1
    assert count_matches(wanted, detections((BOX, 0.9, 1), (BOX, 0.3, 1)), everything) == 2
    assert count_matches(wanted, detections((BOX, 0.9, 2)), everything) == 0
    assert count_matches(wanted, detections(((0, 0, 100, 89), 0.9, 1)), everything) == 0
    assert count_matches(wanted, detections(), everything) == 0


def test_an_image_counts_what_is_lost_and_what_is_new():
    wanted = detections((BOX, 0.9, 1), (BOX, 0.6, 2), (BOX, 0.4, 3))
    found = detections((BOX, 0.3, 1), (BOX, 0.7, 3), (BOX, 0.6, 4))

    row = agree(IMAGE, wanted, found)

    assert (row.matched, row.expected, row.agreement) == (1, 2, 0.5)
    assert row.extra == 1, "class 4; the float model has class 3 too, below 0.5"
    assert not row.is_blank
    assert agree(IMAGE, detections((BOX, 0.4, 1)), found).is_blank
    assert agree(IMAGE, detections(), detections()).agreement == 1


@given(first=small_maps, second=small_maps)
def test_mask_iou_is_the_mean_over_the_classes_that_either_shows(first, second):
    ious = [
        ((first == number) & (second == number)).sum()
        / ((first == number) | (second == number)).sum()
        for number in range(4)
        if (first == number).any() or (second == number).any()
    ]

    assert mask_iou(first, second) == pytest.approx(np.mean(ious))


def test_a_mask_of_one_class_is_blank():
    empty, half = np.zeros((2, 4, 4), np.uint8)
    half[:, 2:] = 1
    blank, sees = (ClassMap(ids, (40, 40)) for ids in (empty, half))

    assert agree(IMAGE, blank, sees).is_blank
    row = agree(IMAGE, sees, blank)
    assert not row.is_blank
    assert row.agreement == pytest.approx((0.5 + 0) / 2)


def test_detections_are_not_compared_with_masks():
    with pytest.raises(TypeError, match="two of a type"):
        agree(IMAGE, detections(), ClassMap(np.zeros((2, 2), np.uint8), (4, 4)))
