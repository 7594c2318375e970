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
from datetime import datetime, timezone

import pytest
from broker import Certificate, Listener, Mosquitto
from factories import message
from waiting import Stopwatch, eventually

from edge.sinks.mqtt import Pace
from edge.sinks.outbox import Tally

pytestmark = pytest.mark.broker

DETECTIONS = "edge/porch/front/detections"
STATUS = "edge/porch/status"
SEND_AND_STAY = """
import sys, time
from factories import message
from edge.config.mqtt import Mqtt
from edge.sinks.mqtt import MqttSink

sink = MqttSink(Mqtt(url="mqtt://127.0.0.1:" + sys.argv[1]), "porch", client_id="edge-killed")
sink.send(message())
time.sleep(60)
"""
# OpenSSL's spelling of 2020, and of a year that no certificate here is of age in.
LONG_AGO, FAR_AHEAD = ("200101000000Z", "200102000000Z"), ("400101000000Z", "400102000000Z")


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


def test_messages_arrive_at_another_client_between_online_and_offline(broker, open_sink):
    with Listener(broker.port) as listener:
        sink = open_sink(broker.port)
        for number in range(500):
            sink.send(message(number))
        assert sink.close(60) == 0
        assert eventually(lambda: listener.payloads(STATUS) == [b"online", b"offline"])
        assert sequences(listener.payloads(DETECTIONS)) == list(range(500))
    assert sink.tally().settled == 500


def test_who_comes_later_finds_the_status_retained(broker, open_sink):
    sink = open_sink(broker.port)
    assert eventually(lambda: sink.connected)
    sink.send(message())
    assert eventually(lambda: sink.tally().settled)
    with Listener(broker.port) as listener:
        assert eventually(lambda: (STATUS, b"online", True) in listener.messages)
        assert not listener.payloads(DETECTIONS)
    assert sink.close(60) == 0
    with Listener(broker.port) as listener:
        assert eventually(lambda: (STATUS, b"offline", True) in listener.messages)


def test_the_broker_says_offline_within_a_second_of_a_kill(broker, root):
    # The listener comes first: the one message of the program is kept for nobody.
    with Listener(broker.port) as listener:
        program = subprocess.Popen(
            [sys.executable, "-c", SEND_AND_STAY, str(broker.port)],
            env={"PYTHONPATH": f"{root}:{root / 'tests' / 'support'}"},
        )
        try:
            assert eventually(lambda: listener.payloads(DETECTIONS))
        finally:
            program.send_signal(signal.SIGKILL)
        with Stopwatch() as watch:
            assert eventually(lambda: listener.payloads(STATUS)[-1:] == [b"offline"])
        assert watch.elapsed_s < 1
    program.wait(60)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_five_restarts_leave_nothing_unacknowledged(broker, open_sink, end):
    sink, number = open_sink(broker.port), 0
    for restart in range(5):
        assert eventually(lambda before=restart: sink.connects > before)
        for _ in range(100):
            sink.send(message(number))
            number += 1
            time.sleep(0.001)
        getattr(broker, end)()
        for _ in range(50):
            sink.send(message(number))
            number += 1
        broker.start()
    assert sink.close(60) == 0
    assert sink.tally() == Tally(number, 0, 0)
    assert sink.connects == 6


def test_online_is_said_again_to_a_broker_that_forgot_it(broker, open_sink):
    sink = open_sink(broker.port)
    assert eventually(lambda: sink.connected)
    broker.kill()
    broker.start()
    assert eventually(lambda: sink.connects == 2)
    with Listener(broker.port) as listener:
        assert eventually(lambda: listener.payloads(STATUS) == [b"online"])


def test_the_newest_that_fit_arrive_when_the_broker_appears(
    open_broker, open_sink, log_lines, tmp_path
):
    broker = open_broker("persistence true", f"persistence_location {tmp_path}/")
    broker.start()
    with Listener(broker.port, session="kept"):
        pass
    broker.stop()  # which writes who subscribed to what: the sink may be the first to come back
    sink = open_sink(broker.port, outbox_messages=200, pace=Pace(base_s=0.1, cap_s=0.1))
    for number in range(1000):
        sink.send(message(number))
    with broker, Listener(broker.port, session="kept") as listener:
        assert eventually(lambda: sink.tally().settled == 200)
        assert eventually(lambda: len(listener.payloads(DETECTIONS)) == 200)
        assert sequences(listener.payloads(DETECTIONS)) == list(range(800, 1000))
        assert sink.tally().dropped == 800
    assert any(
        "200 results waited and go out now, 800 were dropped" in line for line in log_lines()
    )


def test_a_message_over_the_brokers_limit_keeps_no_other_back(open_broker, open_sink, log_lines):
    with open_broker("max_packet_size 1000") as broker:
        sink = open_sink(broker.port, protocol="3.1.1")
        for number in range(90):
            sink.send(message(number) if number != 40 else message(payload=b"x" * 1172))
        assert eventually(lambda: sink.tally() == Tally(89, 1, 0))
        assert sink.connects <= 4
    assert any("over a message of 1172 bytes to" in line for line in log_lines())


def test_the_right_password_opens(guarded, open_sink, password_file):
    password_file.write_text("s3cret\n")
    sink = open_sink(guarded.port, user="edge", password_file=password_file)
    sink.send(message())
    assert sink.close(60) == 0


def test_a_wrong_password_is_tried_seldom_and_told_to_nobody(
    guarded, open_sink, password_file, log_lines
):
    sink = open_sink(guarded.port, pace=Pace(), user="edge", password_file=password_file)
    sink.send(message())
    assert eventually(log_lines)
    time.sleep(2.5)
    # The next try is due ten seconds after the first.
    assert guarded.log.count("not authorised") == 1
    assert len(log_lines()) == 1
    assert f"127.0.0.1:{guarded.port} refuses user 'edge' (not authorized)" in log_lines()[0]
    assert "check the user in the broker's URL and the first line of its" in log_lines()[0]
    with Stopwatch() as watch:
        assert sink.close(8) == 1
    assert watch.elapsed_s < 4
    assert guarded.log.count("not authorised") <= 2
    assert "hunter2" not in "".join(log_lines())


def test_a_trusted_certificate_opens(open_broker, open_sink, tmp_path):
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, ca_file):
        sink = open_sink(broker.port, tls=True, ca_file=ca_file)
        for number in range(300):
            sink.send(message(number))
        assert sink.close(60) == 0
        assert sink.tally().settled == 300


def test_a_foreign_certificate_is_refused(open_broker, open_sink, tmp_path, log_lines):
    foreign = Certificate.make(tmp_path / "foreign")
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, _):
        sink = open_sink(broker.port, tls=True, ca_file=foreign.certificate)
        sink.send(message())
        assert eventually(log_lines)
        assert sink.close(0.2) == 1
        assert sink.connects == 0
    assert f"the certificate of 127.0.0.1:{broker.port} is not trusted" in log_lines()[0]
    assert "signed it and that it names 127.0.0.1" in log_lines()[0]


def test_a_certificate_for_another_name_is_refused(open_broker, open_sink, tmp_path, log_lines):
    own = Certificate.make(tmp_path / "own", names="DNS:elsewhere.invalid")
    with encrypted(open_broker, own) as (broker, ca_file):
        sink = open_sink(broker.port, tls=True, ca_file=ca_file)
        assert eventually(log_lines)
        assert sink.connects == 0
    assert "is not trusted (IP address mismatch" in log_lines()[0]


def test_tls_with_a_broker_that_has_none_does_not_fall_back(broker, open_sink, log_lines):
    sink = open_sink(broker.port, tls=True)
    sink.send(message())
    assert eventually(log_lines)
    assert sink.close(0.2) == 1
    assert f"127.0.0.1:{broker.port} answers, but not in TLS" in log_lines()[0]


def test_no_tls_with_a_broker_that_wants_it_is_told_apart(
    open_broker, open_sink, tmp_path, log_lines
):
    with encrypted(open_broker, Certificate.make(tmp_path / "own")) as (broker, _):
        open_sink(broker.port)
        assert eventually(log_lines)
    assert "answers, but not as an MQTT broker" in log_lines()[0]
    assert "mqtts://" in log_lines()[0]


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (LONG_AGO, "(certificate has expired); it holds from Jan  1 00:00:00 2020 GMT to Jan  2"),
        (FAR_AHEAD, "(certificate is not yet valid); it holds from Jan  1 00:00:00 2040 GMT to"),
    ],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_out_of_its_time_is_named_with_its_dates_and_the_clock(
    open_broker, open_sink, tmp_path, log_lines, *, dates, found
):
    own = Certificate.make(tmp_path / "own", dates=dates)
    with encrypted(open_broker, own) as (broker, ca_file):
        began = datetime.now(timezone.utc)
        sink = open_sink(broker.port, tls=True, ca_file=ca_file)
        assert eventually(log_lines)
        assert sink.connects == 0
    assert found in log_lines()[0]
    hours = (f"clock says {now:%b %d %H}" for now in (began, datetime.now(timezone.utc)))
    assert any(f"this machine's {hour}" in log_lines()[0] for hour in hours)
    assert "set the clock (check with: timedatectl), or renew the certificate" in log_lines()[0]


def test_a_broker_that_stands_still_is_said_to_give_no_answer(broker, open_sink, quick, log_lines):
    with broker.standing_still():
        sink = open_sink(broker.port, pace=replace(quick, answer_s=0.5))
        sink.send(message())
        assert eventually(log_lines)
    assert "takes the call, and has not answered for 0.5 s" in log_lines()[0]
    assert sink.close(60) == 0
