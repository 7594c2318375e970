"""How the MQTT sink ends: with its broker, without it, and with nothing to deliver."""

from __future__ import annotations

import threading
import time

import pytest
from factories import message
from ports import free_port
from scripted_broker import ScriptedBroker
from waiting import Stopwatch, eventually

pytestmark = pytest.mark.board

STATUS = "edge/porch/status"


def test_close_waits_for_a_broker_that_comes_back_in_time(open_sink):
    port = free_port()
    sink = open_sink(port)
    sink.send(message())
    undelivered = []
    closer = threading.Thread(target=lambda: undelivered.append(sink.close(60)))
    closer.start()
    assert eventually(sink._closing.is_set)
    time.sleep(0.2)
    with ScriptedBroker(port=port) as broker:
        closer.join(90)
        assert undelivered == [0]
        assert eventually(lambda: broker.messages[-1] == (STATUS, b"offline", True))


def test_close_keeps_to_its_time_and_may_be_called_again(open_sink):
    sink = open_sink(free_port())
    sink.send(message())
    began = time.monotonic()
    with Stopwatch() as watch:
        assert sink.close(0.5) == 1
    assert time.monotonic() - began > 0.4
    assert watch.elapsed_s < 2.5
    assert sink.close(5) == 1
    with pytest.raises(ValueError, match="send must come before close"):
        sink.send(message())


def test_close_without_anything_to_deliver_is_immediate(open_sink):
    sink = open_sink(free_port())
    with Stopwatch() as watch:
        assert sink.close(30) == 0
    assert watch.elapsed_s < 2


def test_no_thread_stays_behind(open_sink):
    with ScriptedBroker() as broker:
        others = {*threading.enumerate()}
        sink = open_sink(broker.port)
        sink.send(message())
        assert [thread.name for thread in {*threading.enumerate()} - others] == ["edge-mqtt"]
        assert sink.close(60) == 0
        assert {*threading.enumerate()} <= others
