from __future__ import annotations

import random

import pytest

from edge.backoff import Backoff

pytestmark = pytest.mark.board


def test_waits_lie_between_the_least_and_a_ceiling_that_doubles_up_to_the_cap():
    ceilings = [2, 4, 8, 16, 30, 30]
    for seed in range(50):
        backoff = Backoff(least_s=1, base_s=2, cap_s=30, random=random.Random(seed))
        for ceiling in ceilings:
            assert 1 <= backoff.next_s() <= ceiling


def test_the_jitter_is_full():
    waits = [Backoff(base_s=8, cap_s=8, random=random.Random(seed)).next_s() for seed in range(400)]
    assert min(waits) < 0.5
    assert max(waits) > 7.5


def test_after_a_reset_waits_are_short_again():
    backoff = Backoff(base_s=1, cap_s=64)
    for _ in range(10):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() <= 1
