"""Tallies add up in any order, and give the histogram that a second look would give."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference.exact_histogram import exact_histogram

from calibration.calibrators import CALIBRATORS
from calibration.ranges import Range
from calibration.tally import BINS, COUNTED, SIDE, SIDE_BITS, Tally, stride_of

pytestmark = pytest.mark.board

# Of very different sizes, so that grids must be folded by none to all of their bits.
values = arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.one_of(
        st.floats(-1e6, 1e6, width=32),
        st.floats(-1, 1, width=32),
        st.floats(-(2.0**-20), 2.0**-20, width=32),
    ),
)


def extremes(x):
    return Range(float(x.min()), float(x.max()))


def tally_of(*parts):
    total = Tally.of(parts[0], extremes(parts[0]))
    for part in parts[1:]:
        total.add_inplace(Tally.of(part, extremes(part)))
    return total


@given(values, values, values)
def test_tallies_of_parts_add_up_to_that_of_all_in_any_order(a, b, c):
    whole = tally_of(np.concatenate([a, b, c]))

    for order in itertools.permutations((a, b, c)):
        added = tally_of(*order)
        assert (added.range, added.exponent) == (whole.range, whole.exponent)
        np.testing.assert_array_equal(added.counts, whole.counts)


@given(values)
def test_every_value_is_counted_in_the_bin_that_division_gives(x):
    tally = tally_of(x)

    expected = np.zeros(2 * SIDE, np.int64)
    for value in x.tolist():
        expected[SIDE + math.trunc(value / 2.0 ** (tally.exponent - SIDE_BITS))] += 1
    np.testing.assert_array_equal(tally.counts, expected)


@given(values, values)
def test_the_histogram_holds_every_value_between_the_extremes(a, b):
    histogram = tally_of(a, b).histogram()

    assert histogram.range == extremes(np.concatenate([a, b]))
    assert histogram.counts.min() >= 0
    assert histogram.counts.sum() == len(a) + len(b)


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(np.random.default_rng(0).normal(0, 1, 200_000), id="normal"),
        pytest.param(np.maximum(np.random.default_rng(1).normal(0, 1, 200_000), 0), id="rectified"),
        pytest.param(np.random.default_rng(2).normal(-3, 0.5, 200_000), id="beside zero"),
    ],
)
@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_calibrators_choose_nearly_what_a_histogram_of_known_range_gives(x, calibrator):
    x = x.astype(np.float32)
    exact = CALIBRATORS[calibrator](exact_histogram(x))

    found = CALIBRATORS[calibrator](tally_of(*np.split(x, 8)).histogram())

    # The searches go in steps of 16 bins, and one or two steps on it may cost as little.
    slack = (32 if calibrator in ("mse", "entropy") else 1) * (float(np.ptp(x)) / BINS) * 1.01
    assert (found.min, found.max) == pytest.approx((exact.min, exact.max), abs=slack)


def test_the_zeros_of_a_rectified_tensor_share_one_bin_of_the_histogram():
    x = np.concatenate([np.zeros(1000), np.linspace(-0.3, 6, 64)]).astype(np.float32)

    histogram = tally_of(x).histogram()

    zero = int(histogram.counts.argmax())
    edges = histogram.edges()
    assert 1000 <= histogram.counts[zero] <= 1002
    assert edges[zero] <= 0 < edges[zero + 1]


@pytest.mark.parametrize("value", [0.0, 2.5, -7.0])
def test_a_constant_tensor_has_one_bin(value):
    histogram = tally_of(np.full(9, value, np.float32)).histogram()

    assert histogram.range == Range(value, value)
    assert histogram.counts.sum() == 9


@pytest.mark.parametrize(
    "shape", [(1, 150, 150, 96), (1, 208, 208, 32), (1, 416, 416, 3), (1, 1917, 91), (1, 7), ()]
)
def test_a_sample_takes_whole_pixels_of_every_column(shape):
    stride = stride_of(shape)

    positions = math.prod(shape[:-1])
    taken = np.arange(0, positions, stride)
    columns = shape[-2] if len(shape) > 1 else 1
    assert len(np.unique(taken % columns)) == min(columns, len(taken))
    counted = len(taken) * (shape[-1] if shape else 1)
    assert counted == math.prod(shape) or COUNTED / 2 <= counted <= 2 * COUNTED


def test_a_sample_counts_every_channel_alike():
    x = np.broadcast_to(np.arange(1, 5, dtype=np.float32), (1, 40, 40, 4))

    counts = Tally.of(x, extremes(x), stride=7).counts

    assert counts[counts > 0].tolist() == [229] * 4
