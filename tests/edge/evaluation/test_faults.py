"""Faults are all counted, and the first few named."""

from __future__ import annotations

import pytest

from edge.evaluation.faults import NAMED, Faults

pytestmark = pytest.mark.board


def test_every_fault_is_counted_and_the_first_are_named():
    faults = Faults()
    for number in range(NAMED + 3):
        faults.add("boxes upside down", f"box {number}")

    (line,) = faults.lines()

    assert line == "8 boxes upside down: box 0, box 1, box 2, box 3, box 4, and 3 more"


def test_kinds_keep_their_order_and_one_can_be_left_out():
    faults = Faults()
    for kind in ("first", "second", "first"):
        faults.add(kind, "x")

    assert faults.lines() == ["2 first: x, x", "1 second: x"]
    assert faults.lines(without="first") == ["1 second: x"]


def test_no_fault_is_no_line():
    assert Faults().lines() == []
    assert Faults().reason() == ""
