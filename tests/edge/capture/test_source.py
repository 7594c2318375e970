from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from waiting import Stopwatch

from edge.capture.source import Paced, recent_ns

IMAGE = np.zeros((2, 2, 3), np.uint8)

pytestmark = pytest.mark.board


def paced(rate_hz):
    return Paced(lambda _: IMAGE, live=True, rate_hz=rate_hz)


def test_the_first_frame_is_due_at_once():
    assert paced(0.001).read(None)


def test_frames_are_a_period_apart():
    pacer = paced(100.0)
    began_s = time.monotonic()
    for _ in range(6):
        assert pacer.read(None)
    assert time.monotonic() - began_s >= 0.049


def test_a_late_caller_is_not_paid_back_with_a_burst():
    pacer = paced(50.0)
    pacer.read(None)
    time.sleep(0.1)  # five periods
    began_s = time.monotonic()  # before the late one, which is due at once
    pacer.read(None)
    pacer.read(None)
    assert time.monotonic() - began_s >= 0.015


def test_without_a_rate_nothing_waits():
    pacer = paced(None)
    with Stopwatch() as watch:
        assert all(pacer.read(None) for _ in range(1000))
    assert watch.elapsed_s < 1


@pytest.mark.parametrize("rate_hz", [0.001, None], ids=["paced", "unpaced"])
def test_an_interrupt_ends_this_wait_and_all_later_ones(rate_hz):
    pacer = paced(rate_hz)
    pacer.read(None)
    threading.Timer(0.02, pacer.interrupt).start()
    if rate_hz:
        assert not pacer.read(None)
    else:
        pacer.interrupt()
    assert not pacer.read(None)


@pytest.mark.parametrize(
    ("stamp_ns", "expected_ns"),
    [
        pytest.param(4_990_123_000, 4_990_123_000, id="10 ms ago"),
        pytest.param(0, None, id="no time"),
        pytest.param(-1_000_000, None, id="not known"),
        pytest.param(5_001_000_000, None, id="ahead"),
        pytest.param(1_700_000_000 * 10**9, None, id="of the wall clock"),
    ],
)
def test_a_drivers_time_counts_where_it_is_of_the_monotonic_clock(stamp_ns, expected_ns):
    assert recent_ns(stamp_ns, 5_000_000_000) == expected_ns
