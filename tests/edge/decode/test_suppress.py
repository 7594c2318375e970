"""Suppression against brute force, published cases, and its promise to make no array."""

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
) -> list[tuple[tuple[float, ...], float, int]]:
    """Return the survivors as rows (box, score, class id)."""
    rows = arrays(boxes, scores, class_ids)
    count = Suppressor(CAPACITY).suppress_inplace(
        *rows, iou_threshold=iou_threshold, max_detections=max_detections
    )
    return [
        (tuple(box.tolist()), float(score), int(class_id))
        for box, score, class_id in zip(*(row[:count] for row in rows), strict=True)
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
        rows = tuple(array.copy() for array in case)
        count = suppressor.suppress_inplace(*rows, **options)
        assert count == len(expected), f"case {number}, {options}"
        for found, given_rows in zip(rows, case, strict=True):
            np.testing.assert_array_equal(found[:count], given_rows[expected], f"case {number}")
        candidates += len(case[1])
        survived += count
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
    rows = tuple(array.copy() for array in case)
    kept = Suppressor(count).suppress_inplace(*rows, **options)
    assert kept == len(expected)
    for found, given_rows in zip(rows, case, strict=True):
        np.testing.assert_array_equal(found[:kept], given_rows[expected])


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
        Suppressor(2).suppress_inplace(
            *arrays([(0, 0, 1, 1)] * 3, [1] * 3, [0] * 3), iou_threshold=0.5, max_detections=9
        )


@pytest.mark.parametrize("count", [1, 25, 100, 256])
def test_no_array_is_made_per_call(count: int) -> None:
    rng = np.random.default_rng(count)
    lower = rng.uniform(0, 300, (count, 2))
    case = arrays(
        np.concatenate([lower, lower + 40], axis=1), rng.random(count), rng.integers(0, 3, count)
    )
    suppressor = Suppressor(256)
    spare = tuple(array.copy() for array in case)
    suppressor.suppress_inplace(*spare, iou_threshold=0.5, max_detections=100)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    suppressor.suppress_inplace(*case, iou_threshold=0.5, max_detections=100)
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    # Views and numbers; and NumPy 1 takes 8 kB for any reduction, whatever its size. The smallest
    # array of the square of 256 has 65,536 bytes.
    assert peak_bytes < 12_000
