"""Objects keep their ids: through crossings, misses, dropped frames, clocks and damaged numbers."""

from __future__ import annotations

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.sections import Tracking
from edge.results.detections import Detections
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses
from edge.stages.tracking import MAX_UNSEEN, Tracker

pytestmark = pytest.mark.board

FRAME_NS = 33_333_333
SIDE_PX = 100
SCORE = 0.5


def tracker(**settings):
    return Tracker(Tracking(**settings), SCORE, {})


def detections(rows):
    """Return detections of rows of x and y of the centre, score, and perhaps a class."""
    table = np.array([(*row, 0)[:4] for row in rows], np.float64).reshape(-1, 4)
    table = table[np.argsort(-table[:, 2], kind="stable")]
    boxes = np.hstack([table[:, :2] - SIDE_PX / 2, table[:, :2] + SIDE_PX / 2])
    return Detections(
        boxes.astype(np.float32), table[:, 2].astype(np.float32), table[:, 3].astype(np.int32)
    )


def frame(number, rows, **changes):
    seen = rows if isinstance(rows, Detections) else detections(rows)
    return factories.observation(number, source_ns=number * FRAME_NS, result=seen, **changes)


def ids_of(stage, frames):
    """Return the ids of each frame, in the order of its rows."""
    return [stage.process(each).result.track_ids.tolist() for each in frames]


def test_an_object_has_an_id_from_its_first_frame_on_and_keeps_it():
    stage = tracker()
    assert ids_of(stage, (frame(n, [(200 + 5 * n, 300, 0.9)]) for n in range(50))) == [[1]] * 50


def test_each_camera_has_tracks_of_its_own():
    stage = tracker()
    for camera in ("door", "gate", "door"):
        seen = stage.process(frame(0, [(200, 300, 0.9)], camera=camera))
        assert seen.result.track_ids.tolist() == [1]


def test_two_that_cross_keep_their_ids():
    stage = tracker()
    for n in range(80):
        left, right = (100 + 10 * n, 300, 0.9), (900 - 10 * n, 340, 0.8)
        seen = stage.process(frame(n, [left, right])).result
        assert seen.track_ids.tolist() == [1, 2]


def test_of_two_that_cross_while_one_is_not_seen_each_keeps_its_id():
    stage = tracker()
    for n in range(80):
        rows = [(100 + 10 * n, 300, 0.9)]
        if not 32 < n < 48:
            rows.append((900 - 10 * n, 300, 0.8))
        seen = stage.process(frame(n, rows)).result
        assert seen.track_ids.tolist() == [1, 2][: len(rows)]


def test_an_object_that_is_half_hidden_is_passed_on_with_its_low_score():
    stage = tracker()
    scores = [0.9, 0.9, *[0.2] * 30, 0.9]
    seen = [stage.process(frame(n, [(300, 300, score)])).result for n, score in enumerate(scores)]
    assert [each.track_ids.tolist() for each in seen] == [[1]] * len(scores)
    assert [len(each) for each in seen] == [1] * len(scores)


def test_who_comes_out_from_behind_something_is_known_by_a_low_score():
    stage = tracker()
    for n in range(5):
        stage.process(frame(n, [(300, 300, 0.9)]))
    frames = [*(frame(n, []) for n in range(5, 20)), frame(20, [(300, 300, 0.2)])]
    assert ids_of(stage, frames) == [*[[]] * 15, [1]]


def test_what_was_never_seen_well_is_left_out():
    stage = tracker()
    assert ids_of(stage, (frame(n, [(300, 300, 0.45)]) for n in range(5))) == [[]] * 5


def test_what_was_seen_well_once_is_not_followed_by_a_low_score():
    stage = tracker()
    assert ids_of(stage, [frame(0, [(300, 300, 0.9)]), frame(1, [(300, 300, 0.2)])]) == [[1], []]


@pytest.mark.parametrize(
    ("gap", "expected"), [pytest.param(55, 1, id="1.9 s"), pytest.param(70, 2, id="2.4 s")]
)
def test_how_long_an_object_may_be_out_of_sight_goes_by_time(gap, expected):
    stage = tracker(lost_s=2)
    for n in range(5):
        stage.process(frame(n, [(300, 300, 0.9)]))
    stage.process(frame(5, []))
    assert ids_of(stage, [frame(4 + gap, [(300, 300, 0.9)])]) == [[expected]]


def test_a_camera_that_is_slower_than_lost_s_keeps_its_tracks():
    stage = tracker(lost_s=0.5)
    times_s = [0, 5, 10, 20, 25]
    seen = [frame(round(30 * second), [(300, 300, 0.9)]) for second in times_s]
    assert ids_of(stage, seen) == [[1]] * len(times_s)


def test_a_long_outage_ends_every_track():
    stage = tracker()
    for n in range(5):
        stage.process(frame(n, [(300, 300, 0.9)]))
    assert ids_of(stage, [frame(30 * 3600, [(300, 300, 0.9)])]) == [[2]]


@pytest.mark.parametrize("kept", [2, 3, 5])
def test_dropped_frames_are_longer_steps(kept):
    """A speed of 12 px a frame, so up to 60 px of a box of 100 a step."""
    stage = tracker()
    frames = [frame(n, [(100 + 12 * n, 300, 0.9)]) for n in range(100)]
    assert {id_ for ids in ids_of(stage, frames[:6] + frames[6::kept]) for id_ in ids} == {1}


def test_a_class_that_wavers_keeps_the_track_and_two_classes_in_one_place_stay_two():
    stage = tracker()
    for n in range(20):
        assert ids_of(stage, [frame(n, [(300, 300, 0.9, n % 2)])]) == [[1]]
    stage, told = tracker(), set()
    for n in range(20):
        seen = stage.process(frame(n, [(300, 300, 0.6 + n % 2 / 5, 0), (302, 300, 0.7, 1)])).result
        told |= set(zip(seen.class_ids.tolist(), seen.track_ids.tolist(), strict=True))
    assert len(told) == 2


def test_what_rests_is_stationary_until_it_moves_off():
    stage = tracker(stationary_s=1)
    rng = np.random.default_rng(5)
    rests = []
    for n in range(120):
        x = 300 + max(0, n - 60) * 4 + rng.normal(0, 2)
        rests += stage.process(frame(n, [(x, 300, 0.9)])).result.stationary.tolist()
    assert rests.index(True) in range(28, 34)
    assert all(rests[34:60])
    assert not any(rests[85:])


def test_the_passed_detections_are_those_without_tracking_and_limits_below_them_are_no_limits():
    found = factories.detections(20)
    found = Detections(found.boxes, found.scores - 0.2, found.class_ids, cut_candidates=3,
                       is_full=True)  # fmt: skip
    seen = tracker().process(frame(0, found)).result
    strong = found[found.scores >= SCORE]
    np.testing.assert_array_equal(seen.boxes, strong.boxes)
    np.testing.assert_array_equal(seen.scores, strong.scores)
    assert (seen.is_full, seen.cut_candidates) == (False, 0)
    seen = tracker().process(frame(0, strong)).result
    assert (seen.is_full, seen.cut_candidates) == (True, 3)


def test_instances_and_poses_stay_what_they_are():
    found = factories.detections(3)
    masks = tuple(Mask(np.full((2, 2), n > 0), (0, 0, 2, 2)) for n in range(3))
    seen = tracker().process(frame(0, Instances.of(found, masks))).result
    assert seen.masks == masks
    assert sorted(seen.track_ids) == [1, 2, 3]
    found.boxes[1] = np.nan
    poses = Poses.of(found, np.arange(27, dtype=np.float32).reshape(3, 3, 3))
    seen = tracker().process(frame(0, poses)).result
    assert seen.points[:, 0, 0].tolist() == [0, 18]


def test_tracks_stay_few_however_many_objects_come_and_go():
    stage, rng = tracker(lost_s=60), np.random.default_rng(1)
    for n in range(60):
        rows = np.column_stack([rng.uniform(0, 1e5, (50, 2)), np.full(50, 0.9)])
        # A clock that stands still ends nothing.
        stage.process(factories.observation(n, source_ns=0, result=detections(rows)))
    assert len(stage._cameras["front"]) <= MAX_UNSEEN + 2 * 50


NUMBERS = st.floats(-1e9, 1e9, width=32) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0])
ROWS = st.lists(
    st.tuples(
        st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
        st.sampled_from([0.1, 0.3, 0.5, 0.9, 1.0]) | st.just(np.nan),
        st.integers(0, 2),
    ),
    max_size=8,
)  # fmt: skip


@given(st.lists(st.tuples(ROWS, st.integers(-(2**62), 2**62)), max_size=6))
def test_whatever_comes_ids_are_unique_and_every_strong_finite_detection_is_passed(frames):
    stage, again = tracker(), tracker()
    for number, (rows, clock_ns) in enumerate(frames):
        boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
        scores = np.array([row[1] for row in rows], np.float32)
        found = Detections(boxes, scores, np.array([row[2] for row in rows], np.int32))
        seen = factories.observation(number, source_ns=clock_ns, result=found)
        with np.errstate(all="raise", under="ignore"):
            result = stage.process(seen).result
        ids = result.track_ids.tolist()
        assert len(set(ids)) == len(ids)
        strong = found[np.isfinite(boxes).all(axis=1) & (scores >= SCORE)]
        assert result[result.scores >= SCORE].boxes.tolist() == strong.boxes.tolist()
        assert again.process(seen).result.track_ids.tolist() == ids


@given(st.data())
def test_the_order_of_the_rows_changes_no_track(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    stage, other = tracker(), tracker()
    for n in range(5):
        count = data.draw(st.integers(0, 6))
        rows = np.column_stack(
            [rng.integers(0, 4, (count, 2)) * 60, rng.choice([0.3, 0.6, 0.9], count)]
        )
        found = detections(rows)
        order = np.array(data.draw(st.permutations(range(count))), np.intp)
        one, two = (
            s.process(frame(n, f)).result for s, f in ((stage, found), (other, found[order]))
        )

        def told(seen):
            return sorted(zip(seen.boxes.tolist(), seen.scores, seen.track_ids, strict=True))

        assert told(one) == told(two)
