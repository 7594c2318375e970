"""Ranges merge like the sets they stand for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.ranges import Range

pytestmark = pytest.mark.board

finite = st.floats(allow_nan=False, allow_infinity=False)
ranges = st.tuples(finite, finite).map(lambda ends: Range(min(ends), max(ends)))


@given(ranges, ranges, ranges)
def test_merging_is_associative(a, b, c):
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(ranges, ranges)
def test_merging_is_commutative_and_holds_both(a, b):
    merged = a.merge(b)

    assert merged == b.merge(a)
    assert merged.min <= min(a.min, b.min)
    assert merged.max >= max(a.max, b.max)


@given(ranges)
def test_merging_with_itself_changes_nothing(a):
    assert a.merge(a) == a


@given(ranges)
def test_a_range_with_zero_holds_zero_and_itself(a):
    wide = a.with_zero()

    assert wide.min <= 0 <= wide.max
    assert wide.merge(a) == wide


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param(1.0, 0.0, id="reversed"),
        pytest.param(math.nan, 0.0, id="nan"),
        pytest.param(-math.inf, 0.0, id="infinite"),
    ],
)
def test_what_is_no_range_is_refused(low, high):
    with pytest.raises(ValueError, match="range must be finite with min <= max"):
        Range(low, high)
