"""How alike instances are by their masks, and poses by their points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converter.judge.agreement import match
from converter.judge.kinds import KINDS
from converter.judge.shapes import keypoint_similarity, mask_iou
from edge.results.detections import Detections
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses

pytest.importorskip("pycocotools", reason="pycocotools is not installed")
pytestmark = pytest.mark.converter

BOX = (10.0, 20.0, 90.0, 100.0)
ONE = np.array([0])
COCO_SIGMA = 0.026  # of the nose


def mask(rows, box=BOX):
    return Mask(np.array(rows, bool), box)


def detections(count, scores=0.9):
    boxes = np.tile(np.float32(BOX), (count, 1))
    return Detections(boxes, np.full(count, scores, np.float32), np.zeros(count, np.int32))


HALF, QUARTER, NOTHING = ([[1, 1], [0, 0]], [[1, 0], [0, 0]], [[0, 0], [0, 0]])


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [
        pytest.param(mask(HALF), mask(HALF), 1, id="the same"),
        pytest.param(mask(HALF), mask(QUARTER), 1 / 2, id="half of it"),
        pytest.param(mask(HALF), mask([[0, 0], [1, 1]]), 0, id="beside it"),
        pytest.param(mask(HALF), mask(np.kron(HALF, np.ones((4, 4)))), 1, id="of finer cells"),
        pytest.param(mask(HALF), mask([[1]], (10, 20, 90, 60)), 1, id="of another box"),
        pytest.param(mask(HALF), mask(HALF, (110, 20, 190, 100)), 0, id="apart"),
        pytest.param(mask([[1]], (0, 0, 40, 40)), mask([[1]], (20, 0, 60, 40)), 1 / 3, id="moved"),
        pytest.param(mask(NOTHING), mask(HALF), 0, id="of nothing"),
        pytest.param(mask(NOTHING), mask(NOTHING), 1, id="nothing twice"),
        pytest.param(
            mask([[0]], (0, 0, 40, 40)), mask([[0]], (20, 0, 60, 40)), 1 / 3, id="nothing moved"
        ),
    ],
)
def test_masks_are_alike_by_the_area_that_they_share(first, second, iou):
    assert mask_iou(first, second) == pytest.approx(iou)
    assert mask_iou(second, first) == pytest.approx(iou)


def test_the_similarity_of_keypoints_is_that_of_coco():
    box = np.float32([0, 0, 100, 100])
    wanted = np.ones((17, 3), np.float32) * (50, 50, 1)
    found, unsure = wanted.copy(), wanted.copy()
    found[0, 0] += 4
    unsure[1:, 2] = 0.1

    alike = np.exp(-16 / (2 * 0.53 * 100 * 100 * (2 * COCO_SIGMA) ** 2))
    assert keypoint_similarity(found, wanted, box) == pytest.approx((16 + alike) / 17)
    assert keypoint_similarity(found, unsure, box) == pytest.approx(alike), "of the sure point"
    assert keypoint_similarity(found, wanted * (1, 1, 0), box) == pytest.approx((16 + alike) / 17)


def test_other_points_than_cocos_have_one_tolerance():
    box = np.float32([0, 0, 100, 100])
    wanted = np.ones((2, 3), np.float32) * (50, 50, 1)
    shifts = np.float32([[[4, 0, 0], [0, 0, 0]], [[0, 0, 0], [4, 0, 0]]])

    first, second = (keypoint_similarity(wanted + shift, wanted, box) for shift in shifts)

    assert first == pytest.approx(second)
    assert first == pytest.approx((1 + np.exp(-16 / (2 * 5300 * 0.1**2))) / 2)


def test_instances_are_matched_by_their_masks_and_not_by_their_boxes():
    wanted = Instances.of(detections(1), (mask(HALF),))
    for rows, distance in ((HALF, 0), ([[0, 0], [1, 1]], 1)):
        found = Instances.of(detections(1), (mask(rows),))
        agreement = match([wanted], [found], task="instances", sure=0.5)

        assert agreement.distance(ONE) == pytest.approx(distance)
        (value,) = agreement.figures.values()
        assert value == pytest.approx(1) if distance == 0 else np.isnan(value)


def test_an_instance_counts_by_how_much_of_its_mask_is_there():
    cells = np.ones((10, 10))
    cells[:, 7:] = 0  # an IoU of 0.7: within 5 of 8 thresholds
    wanted, found = (Instances.of(detections(1), (mask(m),)) for m in (np.ones((10, 10)), cells))

    agreement = match([wanted], [found], task="instances", sure=0.5)

    assert agreement.distance(ONE) == pytest.approx(3 / 8)
    assert next(iter(agreement.figures.values())) == pytest.approx(0.7)


def test_poses_are_matched_by_their_points():
    wanted = Poses.of(detections(1), np.ones((1, 17, 3), np.float32) * (50, 60, 1))
    apart = []
    for shift in (0, 6, 100):
        moved = replace(wanted, points=wanted.points + np.float32([shift, 0, 0]))
        apart.append(match([wanted], [moved], task="pose", sure=0.5).distance(ONE))

    assert apart[0] == pytest.approx(0)
    assert apart[0] < apart[1] < apart[2] == 1


def test_points_that_are_no_numbers_are_found_nowhere():
    wanted = Poses.of(detections(1), np.ones((1, 17, 3), np.float32) * (50, 60, 1))
    damaged = replace(wanted, points=np.full((1, 17, 3), np.nan, np.float32))

    assert match([wanted], [damaged], task="pose", sure=0.5).distance(ONE) == 1


@pytest.mark.parametrize("task", ["instances", "pose"])
def test_what_is_seen_is_moved_whole(task):
    points = np.ones((1, 2, 3), np.float32) * (50, 60, 0.7)
    seen = {
        "instances": Instances.of(detections(1), (mask(HALF),)),
        "pose": Poses.of(detections(1), points),
    }[task]

    moved = KINDS[task].placed(seen, 0.5, np.array([1.0, 2.0]))

    assert moved.boxes.tolist() == [[6, 12, 46, 52]]
    if task == "instances":
        assert moved.masks[0].box == (6, 12, 46, 52)
    else:
        np.testing.assert_allclose(moved.points, [[[26, 32, 0.7]] * 2], rtol=1e-6)
    assert seen.boxes.tolist() == [list(BOX)]
