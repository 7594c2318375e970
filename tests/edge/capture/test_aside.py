from __future__ import annotations

import threading

import pytest
from waiting import Stopwatch

from edge.capture.aside import Aside

pytestmark = pytest.mark.board

LONG_S = 10.0


def test_calls_run_on_a_thread_of_their_own_and_give_what_they_give():
    aside = Aside("aside")
    names = {aside.ask(lambda: threading.current_thread().name, LONG_S) for _ in range(3)}
    assert names == {"aside"}
    with pytest.raises(ZeroDivisionError):
        aside.ask(lambda: 1 // 0, LONG_S)
    assert aside.ask(lambda: 7, LONG_S) == 7
    aside.leave()


def test_whoever_waits_is_let_go_at_once_when_it_is_left():
    ended = threading.Event()
    held = threading.Event()
    aside = Aside("aside", at_end=ended.set)
    threading.Timer(0.1, aside.leave).start()
    with Stopwatch() as watch:
        assert aside.ask(lambda: held.wait(LONG_S), LONG_S) is None
        assert aside.ask(lambda: 7, LONG_S) is None
    assert watch.elapsed_s < LONG_S / 2
    assert not ended.is_set()  # the call is still at hand
    held.set()
    assert ended.wait(LONG_S)


def test_a_call_that_takes_too_long_is_given_up():
    aside = Aside("aside")
    held = threading.Event()
    with pytest.raises(TimeoutError):
        aside.ask(lambda: held.wait(LONG_S), 0.05)
    aside.leave()
    held.set()
