"""How far models are apart that say one thing of a whole frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from converter.judge.agreement import match
from converter.judge.whole_frames import rank_correlation
from edge.results.anomaly import Anomaly
from edge.results.classes import Classes

pytestmark = pytest.mark.converter
SURE = 0.5
NAMES = tuple(Path(f"{number}.png") for number in range(4))


def classes(*rows):
    ids, scores = zip(*rows, strict=True) if rows else ((), ())
    return Classes(np.array(ids, np.int32), np.array(scores, np.float32))


def apart(wanted, found):
    return match(wanted, found, task="classification", sure=SURE)


def errors_apart(wanted, found):
    sides = [[Anomaly(error, 1.0, np.zeros((1, 1), np.float32)) for error in side]
             for side in (wanted, found)]  # fmt: skip
    return match(*sides, task="anomaly", sure=SURE)


WANTED = [classes((1, 0.9), (2, 0.1)), classes((2, 0.8), (1, 0.2)), classes((1, 0.4), (3, 0.3))]


def distance(agreement, count=3):
    return agreement.distance(np.arange(count))


def test_a_classifier_is_not_apart_from_itself():
    agreement = apart(WANTED, WANTED)

    assert (distance(agreement), agreement.objects) == (0, 2)
    assert agreement.figures == {"top-1 agreement": 1, "mean change of the best score": 0}


@pytest.mark.parametrize(
    ("third", "expected"),
    [
        pytest.param(classes((3, 0.4), (1, 0.3)), 0, id="of which neither is sure"),
        pytest.param(classes((3, 0.6), (1, 0.3)), 1 / 3, id="made up"),
        pytest.param(classes((1, 0.6), (3, 0.3)), 0, id="surer"),
        pytest.param(classes(), 0, id="no number, where the reference is not sure"),
    ],
)
def test_an_image_counts_where_either_is_sure_of_its_class(third, expected):
    assert distance(apart(WANTED, [*WANTED[:2], third])) == pytest.approx(expected)


def test_another_best_class_sets_them_apart_and_the_rows_say_where():
    found = [classes((1, 0.4), (2, 0.3)), classes((1, 0.6), (2, 0.4)), classes((3, 0.9))]
    agreement = apart(WANTED, found)
    rows = agreement.rows(NAMES[:3])

    assert distance(agreement) == pytest.approx(2 / 3)
    assert agreement.distance(np.array([1, 1, 0])) == pytest.approx(2 / 3)
    assert [(row.matched, row.expected, row.extra) for row in rows] == [
        (1, 1, 0), (0, 1, 1), (0, 0, 1),
    ]  # fmt: skip
    assert [row.is_blank for row in rows] == [False, False, True]
    assert agreement.figures["top-1 agreement"] == pytest.approx(1 / 3)
    assert agreement.figures["mean change of the best score"] == pytest.approx(
        (0.5 + 0.4 + 0.4) / 3
    )


def test_a_class_that_is_no_longer_sure_is_lost_and_one_that_becomes_so_made_up():
    wanted = [classes((0, 0.9)), classes((0, 0.1)), classes((0, 0.6))]
    found = [classes((0, 0.2)), classes((0, 0.9)), classes((0, 0.4))]
    agreement = apart(wanted, found)

    assert distance(agreement) == pytest.approx(2 / 3), "a model of one class has no other"
    assert agreement.figures["top-1 agreement"] == 1
    assert [(row.matched, row.expected, row.extra) for row in agreement.rows(NAMES[:3])] == [
        (0, 1, 0), (0, 0, 1), (1, 1, 0),
    ]  # fmt: skip


def test_of_many_classes_the_best_few_are_compared_too():
    wanted = classes(*((number, 0.9 - number / 10) for number in range(5)))
    found = [classes(*((number, 0.5) for number in order)) for order in ((4, 3, 2, 1, 0), (9,) * 5)]

    figures = apart([wanted] * 2, found).figures

    assert (figures["top-1 agreement"], figures["top-5 agreement"]) == (0, 1 / 2)


def test_images_of_no_sure_class_have_no_distance():
    assert math.isnan(distance(apart(WANTED[2:], WANTED[2:]), 1))


def test_an_output_without_a_number_is_a_class_lost():
    assert distance(apart(WANTED[:1], [classes()]), 1) == 1


def test_errors_are_apart_by_the_share_that_they_differ_by():
    agreement = errors_apart([0.1, 0.2, 0.4], [0.2, 0.2, 0.3])

    assert distance(agreement) == pytest.approx((0.5 + 0 + 0.25) / 3)
    assert agreement.distance(np.array([1, 1])) == 0
    assert agreement.objects == 3
    assert agreement.figures["rank correlation"] == pytest.approx(np.sqrt(3) / 2)
    assert [row.distance for row in agreement.rows(NAMES[:3])] == pytest.approx([0.5, 0, 0.25])


def test_errors_of_nothing_are_not_apart():
    agreement = errors_apart([0.0, 0.0], [0.0, 0.0])

    assert (distance(agreement, 2), agreement.objects) == (0, 0)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ([1, 2, 3, 4], 1), ([40, 30, 20, 10], -1), ([1, 1, 2, 2], 4 / math.sqrt(20)),
        ([5] * 4, math.nan),
    ],
    ids=["the same", "turned", "ties", "even"],
)  # fmt: skip
def test_ranks_correlate_as_spearman_says(second, expected):
    found = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array(second, float))

    assert found == pytest.approx(expected, nan_ok=True)
