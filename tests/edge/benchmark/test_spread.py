"""Percentiles against their definition, spreads, and ratios with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.benchmark.spread import MIN_WINDOWS, percentiles, ratio, spread

pytestmark = pytest.mark.board

TIMES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300)


def nearest_rank(times, percent):
    return sorted(times)[max(0, math.ceil(percent / 100 * len(times)) - 1)]


@given(TIMES)
def test_a_percentile_is_the_nearest_rank(times):
    found = percentiles(np.array(times))

    assert found.count == len(times)
    assert found.max_ms == max(times)
    for percent, value in ((50, found.p50_ms), (90, found.p90_ms), (95, found.p95_ms)):
        assert value == nearest_rank(times, percent)
    assert found.p99_ms == nearest_rank(times, 99)


@given(TIMES)
def test_a_spread_is_in_order(times):
    found = spread(times)

    ends = [min(times), found.low, found.median, found.high, max(times)]
    assert ends == sorted(ends)
    assert found.disagreement_ratio >= 0


@pytest.mark.parametrize(
    ("values", "agrees"),
    [
        pytest.param([10, 10, 10, 10, 10], True, id="all alike"),
        pytest.param([10] * (MIN_WINDOWS - 1), False, id="too few"),
        pytest.param([9.5, 9.75, 10, 10.25, 99], True, id="one stray window"),
        pytest.param([8, 9, 10, 11, 12], False, id="spread over 20 %"),
    ],
)
def test_windows_agree_when_their_middle_half_is_close(values, agrees):
    assert spread(values).agrees is agrees


def test_a_ratio_is_median_over_median_with_an_interval_around_it():
    found = ratio([20, 21, 22, 21, 20, 22], [10, 11, 10, 10.5, 10, 10.2])

    assert found.value == pytest.approx(20.5 / 10.1, rel=0.03)
    assert found.low <= found.value <= found.high
    assert found.is_significant


def test_windows_of_one_distribution_are_seldom_called_different():
    random = np.random.default_rng(5)

    called = sum(ratio(*random.normal(100, 2, (2, 12))).is_significant for _ in range(200))

    # 5 % by the interval's definition; medians of 12 windows are coarser than that.
    assert called <= 20


@given(TIMES, st.floats(0.5, 2))
def test_a_scale_changes_the_ratio_by_itself(times, scale):
    base = ratio(times, times)

    assert ratio([scale * time for time in times], times).value == pytest.approx(scale * base.value)
