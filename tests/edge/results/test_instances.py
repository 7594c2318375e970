"""Instances and poses are detections with a column more."""

from __future__ import annotations

from dataclasses import replace

import factories
import numpy as np
import pytest

from edge.results.instances import Instances, Mask
from edge.results.poses import Poses

pytestmark = pytest.mark.board

TRACKED = replace(factories.detections(4), track_ids=np.array([7, 5, 9, 8]))
MASKS = tuple(
    Mask(np.arange(6).reshape(2, 3) >= number, (0.0, 0.0, 30.0, 10.0)) for number in range(4)
)
POINTS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
CHOICES = [
    pytest.param(np.array([True, False, False, True]), [0, 3], id="mask"),
    pytest.param(slice(1, 3), [1, 2], id="slice"),
    pytest.param(np.array([2, 0]), [2, 0], id="row numbers"),
    pytest.param(np.zeros(4, bool), [], id="none"),
]


@pytest.mark.parametrize(("rows", "expected"), CHOICES)
def test_rows_are_chosen_in_all_columns(rows, expected):
    instances, poses = Instances.of(TRACKED, MASKS)[rows], Poses.of(TRACKED, POINTS)[rows]
    assert [mask.area_px for mask in instances.masks] == [MASKS[row].area_px for row in expected]
    np.testing.assert_array_equal(poses.points, POINTS[expected])
    for chosen in (instances, poses):
        np.testing.assert_array_equal(chosen.boxes, TRACKED.boxes[expected])
        assert chosen.track_ids.tolist() == TRACKED.track_ids[expected].tolist()


def test_each_row_is_a_value_with_its_mask_or_its_points():
    second = list(Instances.of(TRACKED, MASKS))[1]
    assert (second.track_id, second.class_id) == (5, 1)
    assert second.mask is MASKS[1]
    pose = list(Poses.of(TRACKED, POINTS))[1]
    assert pose.points == ((6.0, 7.0, 8.0), (9.0, 10.0, 11.0))
    assert pose.score == second.score


def test_a_mask_knows_the_area_that_it_covers_in_pixels_of_the_frame():
    assert MASKS[1].area_px == 30 * 10 * 5 / 6
    assert MASKS[1].class_map().class_ids.tolist() == [[0, 1, 1], [1, 1, 1]]


def test_a_copy_keeps_its_masks_and_points_when_the_buffers_change():
    cells, points = np.ones((2, 3), bool), POINTS.copy()
    seen = factories.detections(1)
    masked = Instances.of(seen, (Mask(cells, (0, 0, 1, 1)),))
    posed = Poses.of(TRACKED, points)
    kept, kept_poses = masked.copy(), posed.copy()
    cells[:], points[:] = False, 0
    assert kept.masks[0].cells.all()
    np.testing.assert_array_equal(kept_poses.points, POINTS)


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="masks must be 4 to match scores, got 3"):
        Instances.of(TRACKED, MASKS[:3])
    with pytest.raises(ValueError, match=r"points must have shape \(4, K, 3\) .* got \(3, 2, 3\)"):
        Poses.of(TRACKED, POINTS[:3])
    assert len(Instances.none()) == len(Poses.none()) == 0
