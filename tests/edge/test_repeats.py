"""What happens again and again is told once in a while, with the number of times."""

import logging

import pytest

from edge import repeats
from edge.repeats import Repeats

pytestmark = pytest.mark.board

LOG = logging.getLogger("edge.sinks")


def test_what_repeats_is_told_once_in_a_while_with_the_number_of_times(caplog):
    now = [0.0]
    seldom = Repeats(10, clock=lambda: now[0])
    for _ in range(3):
        seldom.warn(LOG, "kind", "it happened")
    now[0] = 10.0
    seldom.warn(LOG, "kind", "it happened")
    assert caplog.messages == ["it happened", "it happened (3 times)"]


def test_a_burst_is_told_in_full_and_each_kind_has_its_own():
    now = [0.0]
    seldom = Repeats(10, burst=2, clock=lambda: now[0])
    assert [seldom.count(kind) for kind in "aaaab"] == [1, 1, 0, 0, 1]
    now[0] = 10.0
    assert [seldom.count("a") for _ in range(3)] == [3, 1, 0]


def test_kinds_that_never_end_take_no_more_memory(monkeypatch):
    monkeypatch.setattr(repeats, "MOST_KINDS", 3)
    seldom = Repeats(10, clock=lambda: 0.0)
    assert [seldom.count(str(kind)) for kind in range(5)] == [1] * 5
    assert [seldom.count(kind) for kind in "432"] == [0, 0, 0]
    assert seldom.count("0") == 1
