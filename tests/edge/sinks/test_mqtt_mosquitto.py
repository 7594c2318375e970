"""The MQTT sink and a real broker: arrival, status, restarts, passwords and TLS."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from broker import Certificate, Listener, Mosquitto
from factories import observation
from waiting import eventually

from edge.sinks.pace import Pace

pytestmark = pytest.mark.broker

DETECTIONS = "edge/porch/front/detections"
STATUS = "edge/porch/front/status"
PUBLISH_AND_STAY = """
import sys, time
from factories import encoder, observation
from edge.sinks.mqtt import MqttSettings, MqttSink

sink = MqttSink(MqttSettings("127.0.0.1", int(sys.argv[1]), "edge-killed"), encoder())
sink.publish(observation())
time.sleep(60)
"""


@pytest.fixture
def open_broker(mosquitto, tmp_path):
    """Return a function that makes a broker of the given configuration lines, not started yet."""
    return lambda *options: Mosquitto(mosquitto, tmp_path, options=options)


@pytest.fixture
def broker(open_broker):
    """Return a broker that lets everybody in."""
    with open_broker() as broker:
        yield broker


@pytest.fixture
def password_file(tmp_path):
    """Return the file of a password that is wrong at the broker of `guarded`."""
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("hunter2-wrong\n")
    return path


@pytest.fixture
def guarded(open_broker, tmp_path):
    """Return a broker that knows the user `edge` with the password `s3cret`."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("no mosquitto_passwd")
    users = tmp_path / "users"
    subprocess.run([program, "-b", "-c", str(users), "edge", "s3cret"], check=True)
    with open_broker(f"password_file {users}") as broker:
        yield broker


def sequences(payloads):
    return [json.loads(payload)["sequence"] for payload in payloads]


@contextmanager
def encrypted(open_broker, own):
    """Run a broker that shows a certificate; give it and the certificate."""
    with open_broker(f"certfile {own.certificate}", f"keyfile {own.key}") as broker:
        yield broker, own.certificate


def test_observations_arrive_at_another_client_between_online_and_offline(broker, open_sink):
    with Listener(broker.port) as listener:
        sink = open_sink(broker.port)
        for number in range(500):
            sink.publish(observation(number))
        assert sink.close(10) == 0
        assert eventually(lambda: listener.payloads(STATUS) == [b"online", b"offline"])
        assert sequences(listener.payloads(DETECTIONS)) == list(range(500))
    assert sink.counters().published == 500


def test_who_comes_later_finds_the_status_retained(broker, open_sink):
    sink = open_sink(broker.port)
    assert eventually(lambda: sink.counters().connected)
    sink.publish(observation())
    assert eventually(lambda: sink.counters().published)
    with Listener(broker.port) as listener:
        assert eventually(lambda: (STATUS, b"online", True) in listener.messages)
        assert not listener.payloads(DETECTIONS)
    assert sink.close(5) == 0
    with Listener(broker.port) as listener:
        assert eventually(lambda: (STATUS, b"offline", True) in listener.messages)


def test_the_broker_says_offline_within_a_second_of_a_kill(broker, root):
    program = subprocess.Popen(
        [sys.executable, "-c", PUBLISH_AND_STAY, str(broker.port)],
        env={"PYTHONPATH": f"{root}:{root / 'tests' / 'support'}"},
    )
    with Listener(broker.port) as listener:
        try:
            assert eventually(lambda: listener.payloads(DETECTIONS), timeout_s=20)
        finally:
            program.send_signal(signal.SIGKILL)
        killed_at = time.monotonic()
        assert eventually(lambda: listener.payloads(STATUS)[-1:] == [b"offline"])
        assert time.monotonic() - killed_at < 1
    program.wait(10)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_five_restarts_leave_nothing_unacknowledged(broker, open_sink, end):
    sink, number = open_sink(broker.port), 0
    for restart in range(5):
        assert eventually(lambda before=restart: sink.counters().connects > before)
        for _ in range(100):
            sink.publish(observation(number))
            number += 1
            time.sleep(0.001)
        getattr(broker, end)()
        for _ in range(50):
            sink.publish(observation(number))
            number += 1
        broker.start()
    assert sink.close(10) == 0
    counters = sink.counters()
    assert (counters.published, counters.dropped) == (number, 0)
    assert counters.connects == 6


def test_online_is_said_again_to_a_broker_that_forgot_it(broker, open_sink):
    sink = open_sink(broker.port)
    assert eventually(lambda: sink.counters().connected)
    broker.kill()
    broker.start()
    assert eventually(lambda: sink.counters().connects == 2)
    with Listener(broker.port) as listener:
        assert eventually(lambda: listener.payloads(STATUS) == [b"online"])


def test_the_newest_that_fit_arrive_when_the_broker_appears(open_broker, open_sink, log_lines):
    broker = open_broker()
    sink = open_sink(broker.port, outbox_messages=200, pace=Pace(base_s=1.5, cap_s=1.5))
    for number in range(1000):
        sink.publish(observation(number))
    with broker, Listener(broker.port) as listener:
        assert eventually(lambda: sink.counters().published == 200)
        assert eventually(lambda: len(listener.payloads(DETECTIONS)) == 200)
        assert sequences(listener.payloads(DETECTIONS)) == list(range(800, 1000))
        assert sink.counters().dropped == 800
    assert any("200 results waited and go out now, 800 older ones" in line for line in log_lines())


def test_a_second_client_with_the_same_id_ends_in_patience(broker, open_sink):
    slow_down = Pace(base_s=0.2, cap_s=30)
    first, second = (open_sink(broker.port, pace=slow_down) for _ in range(2))
    time.sleep(4)
    # With ceilings of 0.2, 0.4, 0.8, ... s the waits of two soon exceed the four seconds.
    assert first.counters().connects + second.counters().connects <= 24


def test_the_right_password_opens(guarded, open_sink, password_file):
    password_file.write_text("s3cret\n")
    sink = open_sink(guarded.port, username="edge", password_file=password_file)
    sink.publish(observation())
    assert sink.close(10) == 0


def test_a_wrong_password_is_tried_seldom_and_told_to_nobody(
    guarded, open_sink, password_file, log_lines
):
    sink = open_sink(guarded.port, pace=Pace(), username="edge", password_file=password_file)
    sink.publish(observation())
    time.sleep(2.5)
    # The next try is due ten seconds after the first.
    assert guarded.log.count("not authorised") == 1
    assert len(log_lines()) == 1
    assert f"127.0.0.1:{guarded.port} refuses user 'edge' (not authorized)" in log_lines()[0]
    assert "check the user in the broker's URL and the first line of its" in log_lines()[0]
    began = time.monotonic()
    assert sink.close(8) == 1
    assert time.monotonic() - began < 4
    assert guarded.log.count("not authorised") <= 2
    assert "hunter2" not in "".join(log_lines())


def test_a_trusted_certificate_opens(open_broker, open_sink, tmp_path):
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, ca_file):
        sink = open_sink(broker.port, tls=True, ca_file=ca_file)
        for number in range(300):
            sink.publish(observation(number))
        assert sink.close(10) == 0
        assert sink.counters().published == 300


def test_a_foreign_certificate_is_refused(open_broker, open_sink, tmp_path, log_lines):
    foreign = Certificate.make(tmp_path / "foreign")
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, _):
        sink = open_sink(broker.port, tls=True, ca_file=foreign.certificate)
        sink.publish(observation())
        assert eventually(log_lines)
        assert sink.close(0.2) == 1
        assert sink.counters().connects == 0
    assert f"the certificate of 127.0.0.1:{broker.port} is not trusted" in log_lines()[0]
    assert "signed it and that it names 127.0.0.1" in log_lines()[0]


def test_a_certificate_for_another_name_is_refused(open_broker, open_sink, tmp_path, log_lines):
    own = Certificate.make(tmp_path / "own", names="DNS:elsewhere.invalid")
    with encrypted(open_broker, own) as (broker, ca_file):
        sink = open_sink(broker.port, tls=True, ca_file=ca_file)
        assert eventually(log_lines)
        assert sink.counters().connects == 0
    assert "is not trusted (IP address mismatch" in log_lines()[0]


def test_tls_with_a_broker_that_has_none_does_not_fall_back(broker, open_sink, log_lines):
    sink = open_sink(broker.port, tls=True)
    sink.publish(observation())
    assert eventually(log_lines)
    assert sink.close(0.2) == 1
    assert f"127.0.0.1:{broker.port} answers, but not in TLS" in log_lines()[0]


def test_no_tls_with_a_broker_that_wants_it_is_told_apart(
    open_broker, open_sink, quick, tmp_path, log_lines
):
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, _):
        open_sink(broker.port, pace=replace(quick, answer_s=0.5))
        assert eventually(log_lines)
    assert "answers, but not as an MQTT broker" in log_lines()[0]
    assert "mqtts://" in log_lines()[0]
