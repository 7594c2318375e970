"""Detections as rows: chosen by mask, slice or number, and one by one."""

from __future__ import annotations

from dataclasses import replace

import factories
import numpy as np
import pytest

from edge.results.detections import Detection, DetectionTally, pairwise_iou

pytestmark = pytest.mark.board


@pytest.fixture
def tracked():
    return replace(factories.detections(4), track_ids=np.array([7, 5, 9, 8]))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(np.array([True, False, False, True]), [0, 3], id="mask"),
        pytest.param(slice(1, 3), [1, 2], id="slice"),
        pytest.param(np.array([2, 0]), [2, 0], id="row numbers"),
        pytest.param(np.zeros(4, bool), [], id="none"),
    ],
)
def test_rows_are_chosen_in_all_columns(tracked, rows, expected):
    chosen = tracked[rows]
    for name in ("boxes", "scores", "class_ids", "track_ids"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(tracked, name)[expected])


def test_without_tracks_the_rows_have_none():
    seen = factories.detections(3)
    assert seen[seen.scores > 0.6].track_ids is None
    assert [each.track_id for each in seen] == [None] * 3


def test_each_row_is_a_value_of_plain_numbers(tracked):
    second = list(tracked)[1]
    box = tuple(tracked.boxes[1].tolist())
    assert second == Detection(box, float(tracked.scores[1]), int(tracked.class_ids[1]), 5)
    assert type(second.score) is float


def test_a_copy_keeps_its_tracks_when_the_buffers_change(tracked):
    kept = tracked.copy()
    tracked.track_ids[:] = 0
    assert kept.track_ids.tolist() == [7, 5, 9, 8]


def test_tracks_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"track_ids must have shape \(2,\) .* got \(3,\)"):
        replace(factories.detections(2), track_ids=np.arange(3))


def test_a_tally_counts_all_frames():
    tally = DetectionTally()
    for count in (2, 0, 5):
        tally.add(factories.detections(count))
    assert tally.text() == "7 detections"


def test_each_box_of_one_set_has_its_iou_with_each_of_another():
    first = np.array([[0, 0, 4, 2], [1, 1, 1, 1]], np.float32)
    second = np.array([[0, 0, 4, 2], [2, 0, 6, 2], [4, 0, 8, 2], [1, 1, 1, 1]], np.float32)

    found = pairwise_iou(first, second)

    np.testing.assert_allclose(found, [[1, 4 / (8 + 8 - 4), 0, 0], [0, 0, 0, 0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_no_boxes_have_no_iou():
    assert pairwise_iou(np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32)).shape == (0, 3)
