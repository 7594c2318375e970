"""Suppression against brute force, published cases, and what its memory is bound by."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import nms_brute_force

from edge.decode.suppress import BLOCK, Suppressor

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.board

CAPACITY = 40
CASES = 10_000
IOU_THRESHOLDS = (0.0, 0.25, 1 / 3, 0.5, 0.6, 1.0)

# The six boxes of TensorFlow Lite's own tests of suppression, here as xyxy, and their scores.
# Source: tensorflow/lite/kernels/detection_postprocess_test.cc and non_max_suppression_test.cc.
SIX_BOXES = (
    (0, 0, 1, 1),
    (0.1, 0, 1.1, 1),
    (-0.1, 0, 0.9, 1),
    (10, 0, 11, 1),
    (10.1, 0, 11.1, 1),
    (100, 0, 101, 1),
)


def arrays(
    boxes: object, scores: object, class_ids: object
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    return (
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.array(class_ids, np.int32),
    )


def suppress(
    boxes: object,
    scores: object,
    class_ids: object,
    *,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    **options: str,
) -> list[tuple[tuple[float, ...], float, int]]:
    """Return the survivors as rows (box, score, class id)."""
    given_rows = arrays(boxes, scores, class_ids)
    rows = Suppressor(CAPACITY).select(
        *given_rows, iou_threshold=iou_threshold, max_detections=max_detections, **options
    )
    return [
        (tuple(box.tolist()), float(score), int(class_id))
        for box, score, class_id in zip(*(given[rows] for given in given_rows), strict=True)
    ]


def kept_scores(scores: object, **options: float) -> list[float]:
    """Return the scores that survive, of six boxes of one class."""
    rows = suppress(SIX_BOXES, scores, [0] * 6, **options)
    return [pytest.approx(score) for _, score, _ in rows]


def random_case(
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return candidates of which many tie, touch, coincide, or have no area."""
    count = int(rng.integers(0, CAPACITY + 1))
    if rng.random() < 0.7:  # on a coarse grid: the same corners, scores and quotients come again
        lower = rng.integers(0, 6, (count, 2))
        sides = rng.integers(0, 5, (count, 2))
        scores = rng.integers(0, 5, count) / 4
    else:
        lower = rng.uniform(-20, 300, (count, 2))
        sides = rng.uniform(0, 200, (count, 2))
        scores = rng.random(count)
    boxes = np.concatenate([lower, lower + sides], axis=1)
    return arrays(boxes, scores, rng.integers(0, rng.integers(1, 5), count))


def test_suppression_equals_brute_force_on_ten_thousand_random_cases() -> None:
    rng = np.random.default_rng(20261121)
    suppressor = Suppressor(CAPACITY)
    survived = candidates = 0
    for number in range(CASES):
        case = random_case(rng)
        options = {
            "iou_threshold": float(rng.choice(IOU_THRESHOLDS)),
            "max_detections": int(rng.choice((0, 1, 5, CAPACITY))),
        }
        expected = nms_brute_force.survivors(*case, **options)
        rows = suppressor.select(*case, **options)
        assert rows.tolist() == expected, f"case {number}, {options}"
        candidates += len(case[1])
        survived += len(rows)
    # The cases are worth something: a good part is suppressed, and a good part is not.
    assert 0.1 < survived / candidates < 0.7


@pytest.mark.parametrize("max_detections", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
@pytest.mark.parametrize("spread_px", [100, 3000], ids=["crowded", "sparse"])
def test_many_blocks_suppress_as_brute_force_does(max_detections: int, spread_px: int) -> None:
    rng = np.random.default_rng(spread_px)
    count = 3 * BLOCK + 7
    lower = rng.integers(0, spread_px, (count, 2))
    boxes = np.concatenate([lower, lower + rng.integers(1, 60, (count, 2))], axis=1)
    case = arrays(boxes, rng.integers(0, 50, count) / 50, rng.integers(0, 3, count))
    options = {"iou_threshold": 0.3, "max_detections": max_detections}
    expected = nms_brute_force.survivors(*case, **options)
    assert Suppressor(count).select(*case, **options).tolist() == expected


coordinates = st.one_of(st.integers(0, 6), st.floats(-1e4, 1e4, width=32))
rows_of_candidates = st.lists(
    st.tuples(
        st.tuples(coordinates, coordinates, coordinates, coordinates),
        st.one_of(st.sampled_from((0.0, -0.0, 0.5, 1.0)), st.floats(0, 1, width=32)),
        st.integers(0, 2),
    ),
    max_size=CAPACITY,
)


@given(rows_of_candidates, st.floats(0, 1, width=32), st.integers(0, CAPACITY))
def test_suppression_equals_brute_force_even_for_boxes_turned_inside_out(
    rows: list[tuple[tuple[float, ...], float, int]], iou_threshold: float, max_detections: int
) -> None:
    case = arrays([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    expected = nms_brute_force.survivors(
        *case, iou_threshold=iou_threshold, max_detections=max_detections
    )
    kept = suppress(*case, iou_threshold=iou_threshold, max_detections=max_detections)
    assert kept == [
        (tuple(case[0][row].tolist()), float(case[1][row]), int(case[2][row])) for row in expected
    ]


@given(rows_of_candidates)
def test_suppressing_the_survivors_again_changes_nothing(
    rows: list[tuple[tuple[float, ...], float, int]],
) -> None:
    once = suppress(*([row[part] for row in rows] for part in range(3)))
    assert suppress(*([row[part] for row in once] for part in range(3))) == once


@pytest.mark.parametrize(
    ("scores", "max_detections", "expected"),
    [
        pytest.param([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], 6, [0.95, 0.9, 0.3], id="all six"),
        pytest.param([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], 2, [0.95, 0.9], id="at most two"),
        pytest.param([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], 1, [0.95], id="at most one"),
        pytest.param([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], 0, [], id="none wanted"),
        pytest.param([0.9, 0.75, 0.6, 0.93, 0.5, 0.3], 3, [0.93, 0.9, 0.3], id="first class"),
        pytest.param([0.8, 0.72, 0.5, 0.95, 0.4, 0.2], 3, [0.95, 0.8, 0.2], id="second class"),
    ],
)
def test_the_published_cases_of_tensorflow_lite_give_the_published_scores(
    scores: list[float], max_detections: int, expected: list[float]
) -> None:
    assert kept_scores(scores, max_detections=max_detections) == expected


def test_the_published_degenerate_box_stays_beside_the_box_around_it() -> None:
    # Source: detection_postprocess_test.cc, FloatTestWithDegeneratedBox.
    kept = suppress([(0, 0, 1, 1), (0.5, 0.5, 0.5, 0.5)], [0.9, 0.7], [0, 0])
    assert [score for _, score, _ in kept] == [pytest.approx(0.9), pytest.approx(0.7)]


def test_the_higher_score_of_two_overlapping_boxes_is_kept() -> None:
    kept = suppress([(0, 0, 10, 10), (1, 0, 11, 10)], [0.5, 0.75], [4, 4])
    assert kept == [((1, 0, 11, 10), 0.75, 4)]


def test_boxes_of_different_classes_never_meet() -> None:
    assert len(suppress([(0, 0, 10, 10)] * 3, [0.5, 0.5, 0.5], [0, 1, 2])) == 3


def test_class_ids_too_great_for_float32_are_still_told_apart() -> None:
    assert len(suppress([(0, 0, 10, 10)] * 2, [0.5, 0.5], [2**24, 2**24 + 1])) == 2


def test_an_iou_equal_to_the_threshold_does_not_suppress() -> None:
    half = [(0, 0, 2, 1), (0, 0, 1, 1)]  # IoU 1 / 2, exact in float32
    assert len(suppress(half, [0.9, 0.8], [0, 0], iou_threshold=0.5)) == 2
    below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert len(suppress(half, [0.9, 0.8], [0, 0], iou_threshold=below)) == 1


def test_of_equal_scores_the_earlier_row_is_kept() -> None:
    kept = suppress([(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 9, 10)], [0.5] * 3, [0] * 3)
    assert [box for box, _, _ in kept] == [(0, 0, 10, 10)]


def test_a_suppressed_box_suppresses_nobody() -> None:
    chain = [(0, 0, 10, 10), (3, 0, 13, 10), (6, 0, 16, 10)]  # neighbours 7 / 13, ends 4 / 16
    kept = suppress(chain, [0.9, 0.8, 0.7], [0] * 3, iou_threshold=0.5)
    assert [box for box, _, _ in kept] == [chain[0], chain[2]]


def test_zero_candidates_give_zero_survivors() -> None:
    assert suppress([], [], []) == []


def test_more_candidates_than_the_capacity_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 2 candidates fit, got 3"):
        Suppressor(2).select(
            *arrays([(0, 0, 1, 1)] * 3, [1] * 3, [0] * 3), iou_threshold=0.5, max_detections=9
        )


def test_boxes_of_all_classes_meet_where_suppression_is_of_all() -> None:
    rows = [(0, 0, 10, 10)] * 3, [0.5, 0.6, 0.5], [0, 1, 2]
    assert [kept[2] for kept in suppress(*rows, suppression="all")] == [1]


def test_without_suppression_the_best_stay_and_of_equals_the_first() -> None:
    rows = [(0, 0, 10, 10)] * 4, [0.5, 0.6, 0.5, 0.4], [0, 0, 1, 0]
    kept = suppress(*rows, max_detections=3, suppression="none")
    assert [class_id for _, _, class_id in kept] == [0, 0, 1]


@given(rows_of_candidates, st.floats(0, 1, width=32))
def test_suppression_of_all_equals_that_of_one_class(
    rows: list[tuple[tuple[float, ...], float, int]], iou_threshold: float
) -> None:
    boxes, scores, class_ids = ([row[part] for row in rows] for part in range(3))
    of_all = suppress(boxes, scores, class_ids, iou_threshold=iou_threshold, suppression="all")
    of_one = suppress(boxes, scores, [0] * len(rows), iou_threshold=iou_threshold)
    assert [kept[:2] for kept in of_all] == [kept[:2] for kept in of_one]


@pytest.mark.parametrize("suppression", ["class", "all"])
def test_what_a_call_takes_does_not_grow_with_the_square_of_the_candidates(
    suppression: str,
) -> None:
    rng = np.random.default_rng(1)
    count = 4 * BLOCK
    lower = rng.uniform(0, 3000, (count, 2))
    case = arrays(
        np.concatenate([lower, lower + 40], axis=1), rng.random(count), rng.integers(0, 3, count)
    )
    suppressor = Suppressor(count)
    options = {"iou_threshold": 0.5, "max_detections": count, "suppression": suppression}
    suppressor.select(*case, **options)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    suppressor.select(*case, **options)
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    # Pairs of a block of 128 with another: 16,384 at most, each 16 numbers of 4 bytes and 5 of 8.
    assert peak_bytes < BLOCK**2 * (16 * 4 + 5 * 8)
