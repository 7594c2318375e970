"""Losses against slow references written from the papers, and what happens at their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import training_slow as slow

from converter.train import losses, yolo_loss
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloGrid, YoloHead

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.converter
BATCH, ANCHORS, CLASSES = 2, 18, 3


def number(tensor):
    return float(np.asarray(tensor))


@settings(max_examples=6)
@given(st.integers(0, 2**16), st.booleans())
def test_multibox_is_the_references(seed, softmax):
    rng = np.random.default_rng(seed)
    wanted = rng.choice([-2, -1, -1, -1, -1, 0, 1, 2], (BATCH, ANCHORS)).astype(np.int32)
    boxes, offsets = rng.normal(0, 1, (2, BATCH, ANCHORS, 4)).astype(np.float32)
    scores = rng.normal(0, 1, (BATCH, ANCHORS, CLASSES + softmax)).astype(np.float32)
    if softmax:
        scores = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    head = SsdHead(activation="none" if softmax else "sigmoid", background=softmax)
    total, parts = losses.multibox(
        {"boxes": boxes, "scores": scores}, {"offsets": offsets, "classes": wanted},
        head=head, classes=CLASSES,
    )  # fmt: skip
    entropy, place = slow.multibox(
        boxes.tolist(), scores.tolist(), offsets.tolist(), wanted.tolist(), softmax=softmax
    )
    assert number(parts["classes"]) == pytest.approx(entropy, rel=1e-4)
    assert number(parts["boxes"]) == pytest.approx(place, rel=1e-4)
    assert number(total) == pytest.approx(entropy + place, rel=1e-4)


def test_multibox_of_images_without_objects_is_finite_and_teaches_background():
    boxes = np.zeros((BATCH, ANCHORS, 4), np.float32)
    wanted = np.full((BATCH, ANCHORS), -1, np.int32)
    found = {"boxes": boxes, "scores": np.zeros((BATCH, ANCHORS, CLASSES), np.float32)}
    total, _ = losses.multibox(
        found,
        {"offsets": boxes, "classes": wanted},
        head=SsdHead(background=False),
        classes=CLASSES,
    )
    assert number(total) == pytest.approx(BATCH * 10 * CLASSES * np.log(2), rel=1e-5)


@settings(max_examples=12)
@given(st.integers(0, 2**16))
def test_complete_iou_is_the_references(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (2, 6, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 50, (2, 6, 2))], axis=2).astype(np.float32)
    expected = [slow.complete_iou(*pair) for pair in zip(*boxes.tolist(), strict=True)]
    np.testing.assert_allclose(np.asarray(yolo_loss.ciou(*boxes)), expected, atol=1e-4)


def yolo_case(sides=(40.0, 40.0), centre=(50.0, 30.0)):
    roles = {"boxes": "b", "objectness": "o", "scores": "s"}
    head = YoloHead(grids=(YoloGrid(**roles, anchors_px=((40, 40), (10, 10))),))
    box = np.array(
        [*np.subtract(centre, np.divide(sides, 2)), *np.add(centre, np.divide(sides, 2))]
    )
    batch = {
        "boxes": box[None, None].astype(np.float32),
        "ids": np.array([[1]], np.int32),
        "owners": np.array([[[[0, 0], [-1, -1]]]], np.int32),
    }
    found = {
        "b": np.zeros((1, 4, 5, 8), np.float32),
        "o": np.full((1, 4, 5, 2), -20, np.float32),
        "s": np.zeros((1, 4, 5, 4), np.float32),
    }
    return head, found, batch


def test_a_yolo_that_is_right_has_no_loss():
    # Cells are 20 x 20 px of 100 x 80: the centre (50, 30) is the middle of row 1, column 2.
    head, found, batch = yolo_case()
    found["o"][0, 1, 2, 0] = 20
    found["s"][0, 1, 2, :2] = -20, 20
    total, parts = yolo_loss.yolo(found, batch, head=head, classes=2, size_wh=(100, 80))
    assert number(total) == pytest.approx(0, abs=1e-3), parts


def test_each_term_of_a_wrong_yolo_is_arithmetic():
    head, found, batch = yolo_case(sides=(20.0, 40.0))
    _, parts = yolo_loss.yolo(found, batch, head=head, classes=2, size_wh=(100, 80))
    expected = slow.complete_iou([30, 10, 70, 50], [40, 10, 60, 50])
    assert number(parts["boxes"]) == pytest.approx(1 - expected, abs=1e-4)
    assert number(parts["objectness"]) == pytest.approx(20, abs=1e-3)
    assert number(parts["classes"]) == pytest.approx(2 * np.log(2), abs=1e-4)


def test_what_overlaps_an_object_well_is_not_punished_for_seeing_it():
    head, found, batch = yolo_case()
    batch["owners"][:] = -1  # another anchor's
    found["o"][0, 1, 2, 0] = 5  # its box is the object's
    found["o"][0, 0, 0, 1] = 5  # this one's is nowhere near
    _, parts = yolo_loss.yolo(found, batch, head=head, classes=2, size_wh=(100, 80))
    assert number(parts["objectness"]) == pytest.approx(slow.binary(5, 0), abs=1e-3)


@settings(max_examples=5)
@given(st.integers(0, 2**16))
def test_masks_are_the_references(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (2, 5, 4, CLASSES)).astype(np.float32)
    wanted = rng.choice([0, 1, 2, 255], (2, 5, 4)).astype(np.int32)
    _, parts = losses.masks(scores, wanted, activation="softmax")
    entropy, dice = slow.masks(scores.tolist(), wanted.tolist())
    assert number(parts["entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert number(parts["dice"]) == pytest.approx(dice, rel=1e-4)


def test_one_channel_is_two_classes_of_which_the_first_has_logit_0():
    rng = np.random.default_rng(0)
    one = rng.normal(0, 2, (2, 5, 4, 1)).astype(np.float32)
    wanted = rng.choice([0, 1, 255], (2, 5, 4)).astype(np.int32)
    single, _ = losses.masks(one, wanted, activation="sigmoid")
    both = np.concatenate([np.zeros_like(one), one], axis=-1)
    double, _ = losses.masks(both, wanted, activation="softmax")
    assert number(single) == pytest.approx(number(double), rel=1e-5)
