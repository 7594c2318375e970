"""Waiting times between two tries."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backoff import Backoff

pytestmark = pytest.mark.board


class Highest(Random):
    """Always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_ceiling_doubles_from_base_to_cap_and_starts_again():
    backoff = Backoff(0.5, 8, Highest())
    assert [backoff.next_s() for _ in range(6)] == [0.5, 1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.next_s() == 0.5


@given(st.integers(0, 2**32), st.integers(0, 20))
def test_the_jitter_is_full_and_stays_below_the_ceiling(seed, tries):
    backoff = Backoff(0.5, 30, Random(seed))
    for number in range(tries):
        assert 0 <= backoff.next_s() <= min(30, 0.5 * 2**number)


def test_two_units_do_not_return_together():
    first, second = (Backoff(0.5, 30, Random(seed)) for seed in (1, 2))
    pairs = [(first.next_s(), second.next_s()) for _ in range(6)]
    assert all(abs(one - other) > 1e-3 for one, other in pairs)
