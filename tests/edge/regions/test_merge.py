"""One result of several looks, beside a slow way to the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.description import Thresholds
from edge.regions.merge import MOVED_S, SAME_IOU, Memory, touched
from edge.regions.plan import MOST_CUT, Plan, Region
from edge.results.detections import Detections

pytestmark = pytest.mark.board

SIZE_WH = (1200, 600)
WHOLE = Region(0, 0, *SIZE_WH)
STILL = np.zeros((54, 96), np.bool_)
LIMITS = Thresholds(0.5, 0.6)


def found(*rows):
    """Return detections of (x1, y1, x2, y2, score, class)."""
    columns = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(columns[:, :4], columns[:, 4], columns[:, 5].astype(np.int32))


def plan(*looks, now_s=0.0, moved=STILL):
    return Plan(0, looks, moved, SIZE_WH, now_s)


def memory():
    return Memory((300, 300), sweep_s=2)


def boxes(result):
    return [tuple(map(int, box)) for box in result.boxes.tolist()]


def moved(x1, y1, x2, y2):
    """Return motion in the cells of a box."""
    cells = STILL.copy()
    cells[
        int(y1 * 54 / 600) : int(y2 * 54 / 600) + 1, int(x1 * 96 / 1200) : int(x2 * 96 / 1200)
    ] = 1
    return cells


def test_boxes_of_a_region_become_those_of_the_frame():
    region = Region(400, 200, 300, 300)

    result = memory().merged(plan(region), [found((50, 60, 90, 100, 0.8, 1))], thresholds=LIMITS)

    assert boxes(result) == [(450, 260, 490, 300)]
    assert result.scores.tolist() == pytest.approx([0.8])
    assert result.class_ids.tolist() == [1]


def test_what_a_regions_border_cuts_is_left_to_the_whole_frame():
    region = Region(400, 200, 300, 300)
    cut, at_border = (0, 60, 90, 100, 0.9, 0), (50, 60, 298, 100, 0.9, 0)

    result = memory().merged(
        plan(WHOLE, region),
        [found((380, 255, 495, 305, 0.7, 0)), found(cut, at_border)],
        thresholds=LIMITS,
    )

    assert boxes(result) == [(380, 255, 495, 305)]


def test_the_frames_own_border_cuts_nothing():
    region = Region(900, 300, 300, 300)

    result = memory().merged(plan(region), [found((200, 200, 300, 300, 0.9, 0))], thresholds=LIMITS)

    assert len(result) == 1


def test_one_object_that_two_looks_found_is_one():
    region = Region(400, 200, 300, 300)

    result = memory().merged(
        plan(WHOLE, region),
        [
            found((500, 300, 600, 400, 0.6, 0)),
            found((105, 95, 200, 200, 0.9, 0), (100, 100, 200, 200, 0.55, 1)),
        ],
        thresholds=LIMITS,
    )

    assert boxes(result) == [(505, 295, 600, 400), (500, 300, 600, 400)]  # the second of class 1
    assert result.class_ids.tolist() == [0, 1]


def test_what_was_seen_stays_where_nothing_moves_and_no_look_is_as_close():
    known, region = memory(), Region(400, 200, 300, 300)
    known.merged(plan(region), [found((50, 60, 90, 100, 0.8, 0))], thresholds=LIMITS)

    still = known.merged(plan(now_s=1), [], thresholds=LIMITS)
    swept = known.merged(plan(WHOLE, now_s=2), [found()], thresholds=LIMITS)
    elsewhere = known.merged(plan(Region(0, 0, 300, 300), now_s=3), [found()], thresholds=LIMITS)
    closer = known.merged(plan(Region(400, 200, 200, 200), now_s=4), [found()], thresholds=LIMITS)

    assert boxes(still) == boxes(swept) == boxes(elsewhere) == [(450, 260, 490, 300)]
    assert len(closer) == 0


def test_what_a_sweep_found_the_next_one_has_to_find_again():
    known = memory()
    known.merged(plan(WHOLE), [found((50, 60, 290, 300, 0.8, 0))], thresholds=LIMITS)

    assert len(known.merged(plan(WHOLE, now_s=2), [found()], thresholds=LIMITS)) == 0


def test_where_something_moves_what_was_seen_stays_for_a_moment_only():
    known, region = memory(), Region(400, 200, 300, 300)
    known.merged(plan(region), [found((50, 60, 90, 100, 0.8, 0))], thresholds=LIMITS)

    moving = moved(440, 250, 500, 310)
    at_once = known.merged(plan(now_s=5, moved=moving), [], thresholds=LIMITS)
    later = known.merged(plan(now_s=5 + MOVED_S / 2, moved=moving), [], thresholds=LIMITS)
    gone = known.merged(plan(now_s=5.1 + MOVED_S), [], thresholds=LIMITS)

    assert [len(at_once), len(later), len(gone)] == [1, 1, 0]


def test_what_no_look_confirms_is_given_up():
    known = memory()
    known.merged(plan(WHOLE), [found((50, 60, 290, 300, 0.8, 0))], thresholds=LIMITS)

    assert len(known.merged(plan(now_s=19), [], thresholds=LIMITS)) == 1
    assert len(known.merged(plan(now_s=41), [], thresholds=LIMITS)) == 0


def test_a_higher_threshold_and_another_size_hold_for_what_is_known_too():
    known = memory()
    rows = found((50, 60, 290, 300, 0.8, 0), (600, 60, 700, 300, 0.6, 0))
    known.merged(plan(WHOLE), [rows], thresholds=LIMITS)

    assert len(known.merged(plan(now_s=1), [], thresholds=Thresholds(0.7, 0.6))) == 1
    other = replace(plan(now_s=2), size_wh=(640, 480))
    assert len(known.merged(other, [], thresholds=LIMITS)) == 0


def test_limits_hold_for_all_looks_together():
    rows = [(60 * number, 100, 60 * number + 40, 150, 0.9 - number / 100, 0) for number in range(9)]

    result = memory().merged(plan(WHOLE), [found(*rows)], thresholds=Thresholds(0.5, 0.6, 4))

    assert len(result) == 4
    assert result.is_full


BOX = st.tuples(st.integers(0, 280), st.integers(0, 280), st.integers(1, 150), st.integers(1, 150))
ROW = st.tuples(BOX, st.integers(0, 1), st.integers(0, 1))
REGION = st.tuples(st.integers(0, 450), st.integers(0, 150)).map(
    lambda at: Region(2 * at[0], 2 * at[1], 300, 300)
)
LOOKS = st.lists(st.tuples(REGION, st.lists(ROW, max_size=4)), max_size=4)


def slowly(looks):
    """Merge looks of one frame, pair by pair."""
    rows = []
    for number, (region, seen) in enumerate(looks):
        for box, score, class_id in seen:
            low, high = np.add(box[:2], (region.x, region.y)), np.add(box[2:], (region.x, region.y))
            sides = (region.width, region.height)
            ends = np.add((region.x, region.y), sides)
            cut = MOST_CUT * np.array(sides)
            borders = (low - (region.x, region.y) < cut) & (np.array((region.x, region.y)) > 0)
            borders |= (ends - high < cut) & (ends < SIZE_WH)
            if not borders.any():
                rows.append((score, number, class_id, (*low, *high)))
    kept = []
    for score, number, class_id, box in sorted(rows, key=lambda row: -row[0]):
        for _, other_number, other_class, other in kept:
            shared = max(0, min(box[2], other[2]) - max(box[0], other[0])) * max(
                0, min(box[3], other[3]) - max(box[1], other[1])
            )
            union = (
                (box[2] - box[0]) * (box[3] - box[1])
                + (other[2] - other[0]) * (other[3] - other[1])
                - shared
            )
            if number != other_number and class_id == other_class and shared > SAME_IOU * union:
                break
        else:
            kept.append((score, number, class_id, box))
    return sorted((tuple(map(int, box)), class_id) for _, _, class_id, box in kept)


@settings(max_examples=150, deadline=None)
@given(LOOKS)
def test_looks_are_merged_as_pair_by_pair(drawn):
    score = iter(np.linspace(0.99, 0.5, 40).tolist())
    looks, results = [], []
    for region, rows in drawn:
        seen = [
            ((x, y, min(x + w, 300), min(y + h, 300)), next(score), class_id)
            for (x, y, w, h), class_id, _ in rows
        ]
        looks.append((region, seen))
        results.append(found(*[(*box, value, class_id) for box, value, class_id in seen]))

    merged = memory().merged(plan(*[region for region, _ in looks]), results, thresholds=LIMITS)

    assert sorted(zip(boxes(merged), merged.class_ids.tolist(), strict=True)) == slowly(looks)
    assert (np.diff(merged.scores) <= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(BOX, max_size=5), st.lists(BOX, max_size=3))
def test_boxes_touch_the_cells_under_them(drawn, patches):
    cells = STILL.copy()
    for x, y, width, height in patches:
        cells[y // 6 : (y + height) // 6, x // 3 : (x + width) // 3] = True
    some = np.float32([(x, y, x + w, y + h) for x, y, w, h in drawn]).reshape(-1, 4)

    slow = [
        bool(cells[int(y1 * 54 / 600) : int(np.ceil(y2 * 54 / 600)),
                   int(x1 * 96 / 1200) : int(np.ceil(x2 * 96 / 1200))].any())
        for x1, y1, x2, y2 in some.tolist()
    ]  # fmt: skip
    assert touched(some, cells, SIZE_WH).tolist() == slow


def test_a_region_shows_whole_what_lies_well_inside():
    region = Region(100, 0, 200, 200)
    some = np.float32(
        [(110, 0, 290, 190), (101, 50, 200, 100), (150, 50, 299, 100), (0, 0, 50, 50)]
    )

    assert region.shows(some, SIZE_WH).tolist() == [True, False, False, False]
