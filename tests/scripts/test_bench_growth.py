"""A cost's growth is compared round by round, in both directions."""

from __future__ import annotations

import pytest
from bench_growth import Growth, Outcome, grown

pytestmark = pytest.mark.board


def growth_of(costs, calls, *, limit):
    def step(label):
        def measure():
            calls.append(label)
            return costs[label]

        return measure

    return Growth("cost", "µs", {label: step(label) for label in costs}, limit, "linear")


@pytest.mark.parametrize(
    ("limit", "verdict"), [(4.0, "holds"), (3.9, "**does not hold**")], ids=["holds", "broken"]
)
def test_the_last_step_is_compared_with_the_first(limit, verdict):
    outcome = grown(growth_of({"1": 2.0, "2": 5.0, "4": 8.0}, [], limit=limit), rounds=3)
    assert outcome.figures == (4.0, 4.0, 4.0)
    assert outcome.cells() == [
        "cost",
        "1: 2, 2: 5, 4: 8 µs",
        "4.00 x (4.00 to 4.00)",
        f"{limit:.2f} x: linear",
        verdict,
    ]


def test_steps_are_warmed_and_then_interleaved_backwards_and_forwards():
    calls = []
    grown(growth_of({"a": 1.0, "b": 1.0}, calls, limit=1), rounds=2)
    assert calls == ["a", "b", "b", "a", "a", "b"]


def test_one_bad_window_of_three_does_not_decide():
    assert Outcome("cost", "", (1.0, 9.0, 1.1), 1.2, "flat").holds
