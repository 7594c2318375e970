"""A real broker, and more than one run that speaks as one device."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from broker import Listener, Mosquitto
from factories import message
from waiting import eventually

from edge.sinks.mqtt import Pace

pytestmark = pytest.mark.broker

STATUS = "edge/porch/status"
DETECTIONS = "edge/porch/front/detections"
KEEPALIVE_S = 5
SEND_AND_STAY = """
import logging, sys, time
from factories import message
from edge.config.mqtt import Mqtt
from edge.sinks.mqtt import MqttSink

logging.basicConfig()
settings = Mqtt(url="mqtt://127.0.0.1:" + sys.argv[1], keepalive_s=5)
sink = MqttSink(settings, "porch", client_id=sys.argv[2])
while True:
    sink.send(message())
    time.sleep(0.1)
"""


@pytest.fixture
def broker(mosquitto, tmp_path):
    with Mosquitto(mosquitto, tmp_path) as broker:
        yield broker


@pytest.fixture
def running(broker, root):
    """Return a function that runs a sink in a process of its own for the length of a block."""

    @contextmanager
    def running(client_id):
        with subprocess.Popen(
            [sys.executable, "-c", SEND_AND_STAY, str(broker.port), client_id],
            env={"PYTHONPATH": f"{root}:{root / 'tests' / 'support'}"},
            stderr=subprocess.PIPE,
            text=True,
        ) as program:
            try:
                yield program
            finally:
                program.kill()

    return running


def retained_status(broker):
    with Listener(broker.port) as listener:
        assert eventually(lambda: listener.payloads(STATUS))
        return listener.payloads(STATUS)[0]


def connects(broker, client_id):
    return broker.log.count(f"as {client_id}")


def is_calm(broker, *, seconds):
    """Whether nobody connects for so long."""
    calls = connects(broker, "edge-porch")
    time.sleep(seconds)
    return connects(broker, "edge-porch") == calls


@pytest.mark.parametrize("other", ["edge-porch-00000000", "edge-porch-11111111"])
def test_a_run_that_stands_still_does_not_leave_its_successor_offline(
    broker, running, open_sink, *, other
):
    with running("edge-porch-00000000") as first, Listener(broker.port) as listener:
        assert eventually(lambda: listener.payloads(DETECTIONS))
        first.send_signal(signal.SIGSTOP)
        sink = open_sink(broker.port, client_id=other, keepalive_s=KEEPALIVE_S)
        assert eventually(lambda: sink.connected)
        # The broker speaks the will, at once for one id, or else once the silence is too long.
        assert eventually(lambda: b"offline" in listener.payloads(STATUS))
        assert eventually(lambda: listener.payloads(STATUS)[-1] == b"online")
        assert eventually(lambda: retained_status(broker) == b"online")
        calls = connects(broker, "edge-porch")
        first.send_signal(signal.SIGCONT)
        assert eventually(lambda: connects(broker, "edge-porch") > calls)
        # Both are connected before long, and neither throws the other off any more.
        assert eventually(lambda: is_calm(broker, seconds=2))
        assert 2 <= connects(broker, "edge-porch") <= 8
        assert eventually(lambda: retained_status(broker) == b"online")
        first.kill()
        assert eventually(lambda: listener.payloads(STATUS)[-2:] == [b"offline", b"online"])
        heard = len(listener.payloads(DETECTIONS))
        sink.send(message())
        assert eventually(lambda: len(listener.payloads(DETECTIONS)) > heard)
        assert eventually(lambda: retained_status(broker) == b"online")
        _, told = first.communicate(timeout=10)
    assert "somebody else speaks as device 'porch' too" in told


def test_a_new_process_behind_a_kill_is_online(broker, running):
    for _ in range(2):
        with running("edge-porch-00000000"), Listener(broker.port) as listener:
            assert eventually(lambda: listener.payloads(DETECTIONS))
            assert retained_status(broker) == b"online"
    assert eventually(lambda: retained_status(broker) == b"offline")


@pytest.mark.parametrize("stops", [0, 1], ids=["the first", "the second"])
def test_of_two_devices_with_one_name_either_may_stop(broker, open_sink, log_lines, *, stops):
    sinks = [open_sink(broker.port, client_id=f"edge-porch-{number}") for number in range(2)]
    assert eventually(lambda: all(sink.connected for sink in sinks))
    assert eventually(lambda: len(voices(log_lines)) == 2)
    assert "127.0.0.1" in voices(log_lines)[0]
    with Listener(broker.port) as listener:
        sinks[stops].close(5)
        assert eventually(lambda: listener.payloads(STATUS)[-2:] == [b"offline", b"online"])
    assert eventually(lambda: retained_status(broker) == b"online")
    sinks[1 - stops].close(5)
    assert eventually(lambda: retained_status(broker) == b"offline")


def test_two_clients_with_one_id_stop_throwing_each_other_off(broker, open_sink, log_lines):
    sinks = [open_sink(broker.port, client_id="edge-porch-0", pace=Pace()) for _ in range(2)]
    for number in range(40):
        for sink in sinks:
            sink.send(message(number))
        time.sleep(0.1)
    assert eventually(lambda: all(sink.connected for sink in sinks))
    assert sum(sink.connects for sink in sinks) <= 8
    assert eventually(lambda: len(voices(log_lines)) == 2)
    assert [sink.close(60) for sink in sinks] == [0, 0]
    assert [sink.tally().settled for sink in sinks] == [40, 40]


def voices(log_lines):
    return [line for line in log_lines() if "somebody else speaks as device 'porch'" in line]
