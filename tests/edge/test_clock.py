"""Times are ascribed to the stage that was just done."""

from __future__ import annotations

import pytest

from edge.clock import StageClock

pytestmark = pytest.mark.board


def test_a_lap_ascribes_the_time_since_the_last_one(monkeypatch):
    moments = iter([1_000_000, 3_000_000, 3_500_000, 4_500_000])
    monkeypatch.setattr("edge.clock.time.monotonic_ns", lambda: next(moments))
    clock = StageClock()
    clock.lap("decode")
    clock.lap("suppress")
    clock.add("invoke", 250_000)
    clock.lap("decode")

    assert clock.stage_ms() == {"decode": 3.0, "suppress": 0.5, "invoke": 0.25}
