"""How far two models are apart on what they see: what is lost, new, moved or of another class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.judge.agreement import match
from edge.results.class_map import ClassMap
from edge.results.detections import Detections

pytest.importorskip("pycocotools", reason="pycocotools is not installed")
pytestmark = pytest.mark.converter

SURE = 0.5
BOX = (0, 0, 100, 100)
OTHER = (200, 200, 300, 300)
ONE = np.array([0])


def detections(*rows):
    boxes, scores, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32),
        np.array(ids, np.int32),
    )  # fmt: skip


def boxes_apart(wanted, found):
    return match([wanted], [found], task="detection", sure=SURE).distance(ONE)


def class_map(ids):
    return ClassMap(np.array(ids, np.uint8), (40, 40))


def test_a_model_is_not_apart_from_itself():
    seen = detections((BOX, 0.9, 1), (OTHER, 0.6, 2), (OTHER, 0.2, 3))

    assert boxes_apart(seen, seen) == pytest.approx(0)


@pytest.mark.parametrize(
    ("found", "distance"),
    [
        pytest.param(detections(), 1, id="all lost"),
        pytest.param(detections((BOX, 0.9, 1)), 1 - 51 / 101, id="half lost"),
        pytest.param(detections((BOX, 0.9, 1), (OTHER, 0.2, 2)), 0, id="less sure"),
        pytest.param(detections((BOX, 0.9, 7), (OTHER, 0.8, 7)), 1, id="another class"),
        pytest.param(
            detections((OTHER, 0.9, 1), (BOX, 0.8, 1), (OTHER, 0.7, 2)), 1 - 2 / 3,
            id="a surer new one",
        ),
        pytest.param(
            detections((BOX, 0.9, 1), (OTHER, 0.8, 2), (OTHER, 0.7, 1)), 0, id="a new one at last"
        ),
    ],
)  # fmt: skip
def test_what_is_lost_and_what_is_new_sets_them_apart(found, distance):
    wanted = detections((BOX, 0.9, 1), (OTHER, 0.8, 2))

    assert boxes_apart(wanted, found) == pytest.approx(distance, abs=0.02)


def test_a_box_counts_by_how_much_it_has_moved_up_to_an_iou_of_085():
    wanted = detections((BOX, 0.9, 1))
    apart = [boxes_apart(wanted, detections(((0, 0, 100, side), 0.9, 1))) for side in (90, 64, 40)]

    assert apart == pytest.approx([0, 5 / 8, 1])


def test_an_unsure_detection_of_the_reference_may_be_found_or_not():
    wanted = detections((BOX, 0.9, 1), (OTHER, 0.4, 1))

    for found in (detections((BOX, 0.9, 1)), detections((OTHER, 0.95, 1), (BOX, 0.9, 1))):
        assert boxes_apart(wanted, found) == pytest.approx(0)


def test_the_rows_say_what_became_of_each_image():
    wanted = [detections((BOX, 0.9, 1), (OTHER, 0.6, 2), (OTHER, 0.4, 3)), detections()]
    found = [detections((BOX, 0.3, 1), (OTHER, 0.7, 3), (OTHER, 0.6, 4)), detections()]
    agreement = match(wanted, found, task="detection", sure=SURE)

    first, second = agreement.rows([Path("a.jpg"), Path("b.jpg")])

    assert agreement.objects == 2
    assert (first.matched, first.expected, first.is_blank) == (1, 2, False)
    assert first.extra == 1, "class 4; the reference has class 3 too, below the threshold"
    assert (second.distance, second.matched, second.expected, second.is_blank) == (0, 0, 0, True)


def test_images_without_any_object_have_no_distance():
    assert np.isnan(boxes_apart(detections(), detections((BOX, 0.9, 1))))
    assert np.isnan(boxes_apart(detections(), detections()))


def test_masks_are_compared_off_their_borders():
    wanted = np.zeros((8, 8), np.uint8)
    wanted[:, 4:] = 1
    at_border, inside = wanted.copy(), wanted.copy()
    at_border[:, 4] = 0
    inside[:, 6:] = 0

    def apart(found):
        return match([class_map(wanted)], [class_map(found)], task="segmentation", sure=SURE)

    assert apart(wanted).distance(ONE) == 0
    assert apart(at_border).distance(ONE) == 0
    # Of 3 columns each that are judged, 5 to 7 and 0 to 2, two change sides.
    assert apart(inside).distance(ONE) == pytest.approx(1 - (3 / 5 + 1 / 3) / 2)


def test_a_mask_of_one_class_is_blank():
    blank, half = np.zeros((2, 8, 8), np.uint8)
    half[:, 4:] = 1
    agreement = match(
        [class_map(blank), class_map(half)], [class_map(half)] * 2, task="segmentation", sure=SURE
    )

    assert agreement.objects == 1
    assert [row.is_blank for row in agreement.rows([Path("a"), Path("b")])] == [True, False]
