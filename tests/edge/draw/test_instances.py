"""Masks and poses on images: drawn where they lie, and nothing where nobody knows."""

from __future__ import annotations

import factories
import numpy as np
import pytest

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.keypoints import KeypointsHead
from edge.draw.results import draw_instances_inplace as draw_inplace
from edge.draw.results import draw_poses_inplace, pixels
from edge.results.detections import Detections
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses

pytestmark = pytest.mark.board

BOX = (40.0, 60.0, 80.0, 100.0)
SEEN = Detections(np.array([BOX], np.float32), np.array([0.9], np.float32), np.array([0], np.int32))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param(BOX, (slice(60, 100), slice(40, 60)), id="inside"),
        pytest.param((-20, -10, 20, 30), (slice(0, 30), slice(0, 0)), id="left half is outside"),
        pytest.param((90, 10, 130, 20), (slice(10, 20), slice(90, 100)), id="cut on the right"),
        pytest.param((5.2, 5.2, 5.4, 5.4), (slice(0), slice(0)), id="smaller than a pixel"),
    ],
)
def test_a_mask_covers_the_pixels_below_its_cells(box, expected):
    found = pixels(Mask(np.array([[True, False]]), box), (120, 100))
    wanted = np.zeros((120, 100), bool)
    wanted[expected] = True
    np.testing.assert_array_equal(found, wanted)


def test_only_what_the_mask_covers_is_tinted():
    image = np.zeros((120, 120, 3), np.uint8)
    mask = Mask(np.array([[True, False], [False, False]]), BOX)
    described = type("Described", (), {"labels": factories.LABELS})
    draw_inplace(image, Instances.of(SEEN, (mask,)), described)
    inside = image[62:98, 42:78].any(axis=2)
    assert inside[:12, :12].all()
    assert not inside[30:].any()


def test_only_likely_and_finite_points_are_drawn():
    boxes = AnchorFreeHead(
        grids=(AnchorFreeGrid(boxes="b", scores="s", stride_px=8),), boxes="distances"
    )
    head = KeypointsHead(boxes=boxes, names=("a", "b"), skeleton=((0, 1),))
    described = factories.manifest(head=head, outputs={"b": "b"}).description(None)
    images = []
    for points in (
        [[50, 70, 0.9], [70, 90, 0.8]],
        [[50, 70, 0.9], [70, 90, 0.2]],
        [[50, 70, 0.9], [np.nan, 90, 0.9]],
        [[50, 70, 0.1], [70, 90, 0.1]],
    ):
        image = np.zeros((120, 120, 3), np.uint8)
        draw_poses_inplace(image, Poses.of(SEEN, np.array([points], np.float32)), described)
        images.append(image[62:98, 42:78].any(axis=2).sum())
    both, likely, finite, none = images
    assert both > likely == finite > none == 0
