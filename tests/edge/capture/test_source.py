from __future__ import annotations

import threading
import time

import pytest

from edge.capture.source import Pacer

pytestmark = pytest.mark.board


def test_the_first_frame_is_due_at_once():
    assert Pacer(0.001).wait()


def test_frames_are_a_period_apart():
    pacer = Pacer(100.0)
    began_s = time.monotonic()
    for _ in range(6):
        assert pacer.wait()
    assert time.monotonic() - began_s >= 0.049


def test_a_late_caller_is_not_paid_back_with_a_burst():
    pacer = Pacer(50.0)
    pacer.wait()
    time.sleep(0.1)  # five periods
    pacer.wait()
    began_s = time.monotonic()
    pacer.wait()
    assert time.monotonic() - began_s >= 0.015


def test_without_a_rate_nothing_waits():
    pacer = Pacer(None)
    began_s = time.monotonic()
    assert all(pacer.wait() for _ in range(1000))
    assert time.monotonic() - began_s < 1


@pytest.mark.parametrize("rate_hz", [0.001, None], ids=["paced", "unpaced"])
def test_an_interrupt_ends_this_wait_and_all_later_ones(rate_hz):
    pacer = Pacer(rate_hz)
    pacer.wait()
    threading.Timer(0.02, pacer.interrupt).start()
    if rate_hz:
        assert not pacer.wait()
    else:
        pacer.interrupt()
    assert not pacer.wait()
