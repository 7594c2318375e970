"""An observation as people look at it, at the size of its picture."""

from __future__ import annotations

import cv2
import factories
import numpy as np
import pytest

from edge.config.reading import parse
from edge.draw.annotated import jpeg
from edge.results.detections import Detections
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses

pytestmark = pytest.mark.board

# Of a frame of 1280 x 720, whose picture is a quarter as wide.
BOX = (400.0, 400.0, 800.0, 640.0)
SEEN = Detections(np.array([BOX], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))
DESCRIPTION = factories.manifest().description(factories.anchors())


def drawn(result=SEEN, *, picture=None, max_side_px=320, config=None):
    """Return which pixels of a black picture were drawn on."""
    picture = np.zeros((180, 320, 3), np.uint8) if picture is None else picture
    seen = factories.observation(result=result, picture=picture)
    data = jpeg(seen, DESCRIPTION, config, max_side_px=max_side_px)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).max(axis=2) > 60


def test_a_box_lies_where_it_is_in_the_reduced_picture():
    rows, columns = np.nonzero(drawn()[105:])  # below the label

    assert abs(rows.max() + 105 - 160) <= 2
    assert abs(columns.min() - 100) <= 2
    assert abs(columns.max() - 200) <= 2


def test_a_picture_that_others_hold_too_is_left_as_it_is():
    picture = np.zeros((180, 320, 3), np.uint8)

    assert drawn(picture=picture).any()
    assert not picture.any()


def test_a_picture_that_somebody_asked_to_be_larger_is_reduced():
    image = drawn(picture=np.zeros((720, 1280, 3), np.uint8), max_side_px=320)

    assert image.shape == (180, 320)
    np.testing.assert_array_equal(np.nonzero(image)[0].max(), np.nonzero(drawn())[0].max())


def test_zones_are_drawn_where_they_are_asked_for():
    zone = {"name": "door", "polygon": [[0.0, 0.5], [0.2, 0.5], [0.2, 1.0], [0.0, 1.0]]}
    with_zone = drawn(config=parse({"zone": zone}))

    assert with_zone[120:178, 2].all()
    assert not drawn()[120:178, 2].any()


def test_what_a_damaged_output_gives_is_not_drawn():
    boxes = np.array([BOX, (np.nan, 0, np.inf, 5)], np.float32)
    damaged = Detections(boxes, np.array([0.9, np.nan], np.float32), np.zeros(2, np.int32))

    np.testing.assert_array_equal(drawn(damaged), drawn())


def test_all_that_lies_in_the_frame_is_scaled_with_it():
    mask = Mask(np.ones((2, 2), np.bool_), BOX)
    points = np.array([[[8.0, 4.0, 0.7]]], np.float32)
    half = tuple(side / 2 for side in BOX)

    assert SEEN.scaled(0.5).boxes.tolist() == [list(half)]
    instances = Instances.of(SEEN, (mask,)).scaled(0.5)
    assert (instances.boxes.tolist(), instances.masks[0].box) == ([list(half)], half)
    poses = Poses.of(SEEN, points).scaled(0.5)
    assert poses.points.tolist() == [[[4.0, 2.0, pytest.approx(0.7)]]]
    assert poses.boxes.tolist() == [list(half)]
    assert SEEN.boxes.tolist() == [list(BOX)]
