"""What is changed of an image is changed of its boxes and mask."""

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.train.data.augment import PLAIN, Changes, changed
from converter.train.matching import Labels
from edge.model.quant import Quant
from edge.preprocess import Preprocessor
from edge.results.detections import pairwise_iou

WIDE, HIGH = 120, 80
STRETCH = factories.input_transform(size_wh=(96, 64), resize="stretch")


def scene(boxes):
    """Return a black image with a white box each, and a mask of the same."""
    image, mask = np.zeros((HIGH, WIDE, 3), np.uint8), np.zeros((HIGH, WIDE), np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = 255
        mask[y0:y1, x0:x1] = 1
    count = len(boxes)
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return image, Labels(found, np.arange(count, dtype=np.int32), np.zeros(count, np.bool_), mask)


@given(st.integers(0, 2**16), st.sampled_from(["none", "across", "both"]), st.booleans())
def test_a_box_and_its_mask_move_with_what_they_are_of(seed, flips, letterbox):
    rng = np.random.default_rng(seed)
    x0, y0 = rng.integers(0, (WIDE - 30, HIGH - 30))
    x1, y1 = np.add((x0, y0), rng.integers(12, 30, 2))
    image, labels = scene([(x0, y0, x1, y1)])
    transform = STRETCH.replace(
        size_wh=(80, 80), resize="letterbox" if letterbox else "stretch", padding=0
    )
    changes = Changes(zoom_out=2.0, flips=flips, colours=0.0)
    seen, true = changed(image, labels, transform=transform, changes=changes, random=rng)
    # A fill that is the image's mean would hide where a dark image ends.
    white = seen[..., 0] > 180
    assert true.mask is not None
    agree = white == (true.mask == 1)
    assert agree[true.mask != 255].mean() > 0.93
    if len(true.boxes):
        rows, columns = np.nonzero(white)
        found = np.array(
            [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32
        )
        assert pairwise_iou(found, true.boxes)[0, 0] > 0.65


def test_plain_is_what_the_board_sees():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)
    _, labels = scene([(10, 20, 40, 60)])
    transform = STRETCH.replace(color="bgr", mean=(0, 0, 0), std=(1, 1, 1))
    seen, true = changed(image, labels, transform=transform, changes=PLAIN, random=rng)
    buffer = np.zeros(transform.shape, np.float32)
    Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32)).fill_input(image, buffer)
    # Off by what the two of OpenCV's resampling kernels round apart.
    assert np.abs(buffer[0] - seen).mean() < 2
    np.testing.assert_allclose(true.boxes, [[8, 16, 32, 48]], atol=1e-4)


def test_an_object_whose_centre_is_cut_off_goes_and_others_are_clipped():
    image, labels = scene([(0, 0, 30, 30), (50, 20, 110, 70)])
    changes = Changes(zoom_out=1.0, least_side=0.4, flips="none", colours=0.0)
    counts, sides = set(), []
    for seed in range(60):
        random = np.random.default_rng(seed)
        _, true = changed(image, labels, transform=STRETCH, changes=changes, random=random)
        counts.add(len(true.boxes))
        assert len(true.class_ids) == len(true.is_crowd) == len(true.boxes)
        sides.append(true.boxes)
    every = np.concatenate(sides)
    assert {1, 2} <= counts
    assert (every >= 0).all()
    assert (every[:, [0, 2]] <= 96).all()
    assert (every[:, [1, 3]] <= 64).all()


def test_colours_change_pixels_and_nothing_else():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)
    _, labels = scene([(10, 20, 40, 60)])
    bright = Changes(zoom_out=1.0, least_side=1.0, flips="none", colours=1.0)
    seen, true = changed(image, labels, transform=STRETCH, changes=bright, random=rng)
    plain, same = changed(image, labels, transform=STRETCH, changes=PLAIN, random=rng)
    assert np.abs(seen.astype(int) - plain).mean() > 3
    np.testing.assert_array_equal(true.boxes, same.boxes)


@pytest.mark.parametrize("flips", ["none", "across", "both"])
def test_an_image_is_flipped_no_other_way_than_asked_for(flips):
    image, labels = scene([(0, 0, 30, 20)])
    corners = set()
    for seed in range(40):
        changes = Changes(zoom_out=1.0, least_side=1.0, flips=flips, colours=0.0)
        random = np.random.default_rng(seed)
        _, true = changed(image, labels, transform=STRETCH, changes=changes, random=random)
        corners.add(tuple((true.boxes[0, :2] > 0).tolist()))
    wanted = {"none": 1, "across": 2, "both": 4}[flips]
    assert len(corners) == wanted
    assert (False, False) in corners
    assert flips == "both" or not any(down for _, down in corners)
