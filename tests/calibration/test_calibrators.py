"""Each calibrator keeps what its formula promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.exact_histogram import exact_histogram

from calibration.calibrators import (
    CALIBRATORS,
    LEVELS,
    divergence,
    mean_squared_error,
    minmax,
    mse,
    percentile,
)
from calibration.ranges import Range
from calibration.tally import BINS, Histogram

pytestmark = pytest.mark.board

values = arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


def quantize_slowly(x, candidate):
    """Return each value as int8 of the range would hold it, one at a time."""
    low, high = min(candidate.min, 0.0), max(candidate.max, 0.0)
    scale = (high - low) / 255
    zero_point = int(np.floor(-low / scale + 0.5))
    return [
        (min(255, max(0, int(np.floor(v / scale + zero_point + 0.5)))) - zero_point) * scale
        for v in x
    ]


@given(values)
def test_minmax_keeps_every_value(x):
    assert minmax(exact_histogram(x)) == Range(float(x.min()), float(x.max()))


@given(values, st.sampled_from(sorted(CALIBRATORS)))
def test_every_calibrator_stays_inside_the_extremes(x, name):
    histogram = exact_histogram(x)

    assert minmax(histogram).merge(CALIBRATORS[name](histogram)) == minmax(histogram)


@given(values)
def test_mse_never_costs_more_than_minmax(x):
    histogram = exact_histogram(x)

    assert mean_squared_error(histogram, mse(histogram)) <= mean_squared_error(
        histogram, minmax(histogram)
    )


def test_percentile_drops_a_tail_of_one_in_twenty_thousand_and_no_more():
    body = np.linspace(-1, 1, 99_996, dtype=np.float32)
    x = np.concatenate([body, np.float32([-50, 50])])

    cut = percentile(exact_histogram(x))

    width = 100 / BINS
    assert -1 - width <= cut.min <= -0.99
    assert 0.99 <= cut.max <= 1 + width
    kept = np.mean((x >= cut.min) & (x <= cut.max))
    assert kept >= 0.9999


def test_the_error_on_a_histogram_is_that_of_quantising_its_values_one_by_one():
    x = np.random.default_rng(0).normal(0, 1, 500).astype(np.float32)
    histogram = exact_histogram(x)
    candidate = Range(-1.5, 1.0)

    centers = np.repeat(histogram.centers(), histogram.counts)
    slow = np.mean((centers - quantize_slowly(centers, candidate)) ** 2)

    assert mean_squared_error(histogram, candidate) == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("name", ["mse", "entropy"])
def test_a_lone_outlier_is_cut_off(name):
    x = np.concatenate([np.random.default_rng(1).normal(0, 1, 200_000), [200.0]]).astype(np.float32)

    cut = CALIBRATORS[name](exact_histogram(x))

    assert cut.max < 180
    assert cut.min < -2


def test_the_zeros_of_a_rectified_tensor_do_not_cut_its_tail():
    x = np.maximum(np.random.default_rng(2).normal(0, 1, 200_000), 0).astype(np.float32)
    positive = x[x > 0]

    with_zeros = CALIBRATORS["entropy"](exact_histogram(x, Range(0, float(x.max()))))
    without = CALIBRATORS["entropy"](exact_histogram(positive, Range(0, float(x.max()))))

    assert with_zeros == without
    assert np.mean(positive <= with_zeros.max) > 0.99


def test_entropy_cuts_a_lone_outlier_far_more_than_mse():
    x = np.concatenate([np.random.default_rng(1).normal(0, 1, 200_000), [200.0]]).astype(np.float32)

    assert CALIBRATORS["entropy"](exact_histogram(x)).max < 30


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_range_that_spans_zero_keeps_it(name):
    x = np.concatenate([np.full(1000, -3.0), np.full(10, 5.0)]).astype(np.float32)

    cut = CALIBRATORS[name](exact_histogram(x))

    assert cut.min <= 0 <= cut.max


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_constant_tensor_has_a_range_of_one_value(name):
    assert CALIBRATORS[name](exact_histogram(np.full(9, 2.5, np.float32))) == Range(2.5, 2.5)


def test_the_divergence_of_levels_that_hold_one_bin_each_is_nothing():
    counts = np.zeros(BINS, np.int64)
    counts[:LEVELS] = np.arange(1, LEVELS + 1)
    histogram = Histogram(Range(0, BINS), counts)

    assert divergence(histogram, Range(0, LEVELS)) == pytest.approx(0, abs=1e-12)


def test_the_divergence_is_that_of_two_distributions_written_out():
    counts = np.zeros(BINS, np.int64)
    counts[[0, 1]] = 3, 1  # both in the first level of 8 bins
    histogram = Histogram(Range(0, BINS), counts)

    written = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)

    assert divergence(histogram, Range(0, BINS)) == pytest.approx(written)
