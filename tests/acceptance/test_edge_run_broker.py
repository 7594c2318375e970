"""`edge run` and a broker that is not there, goes away, comes back, or says no."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest
from broker import Listener, Mosquitto
from waiting import eventually

pytestmark = [pytest.mark.board, pytest.mark.broker]

TOPIC = "edge/roof/north/detections"
STATUS = "edge/roof/status"
# Whatever else runs only slows: of each kind the fastest of so many runs is compared.
MOST_TRIES = 4
# Small frames, so that the model alone sets the pace.
CONFIG = """
[device]
name = "roof"
[camera]
name = "north"
source = "demo:"
size_wh = [320, 240]
realtime = {realtime}
rate_hz = 30
[mqtt]
url = "mqtt://{user}127.0.0.1:{port}"
outbox_messages = {outbox}
{extra}
"""


@pytest.fixture
def write_config(tmp_path):
    def write(port, *, realtime=True, outbox=1000, user="", extra=""):
        path = tmp_path / "roof.toml"
        path.write_text(
            CONFIG.format(
                port=port, realtime=str(realtime).lower(), outbox=outbox, user=user, extra=extra
            )
        )
        return path

    return write


@contextmanager
def running(config, *options):
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", str(config), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process):
    """Stop as systemd does; return the exit status and stderr."""
    process.terminate()
    _, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors, errors
    return process.returncode, errors


def sequences(listener):
    return [json.loads(payload)["sequence"] for payload in listener.payloads(TOPIC)]


def frame_rate_hz(errors):
    return float(re.search(r"\(([\d.]+) frames/s\)", errors).group(1))


def test_results_status_and_a_clean_end_reach_another_client(mosquitto, tmp_path, write_config):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        with running(write_config(broker.port)) as process:
            assert eventually(lambda: len(listener.payloads(TOPIC)) >= 20)
            assert listener.payloads(STATUS) == [b"online"]
            status, _ = finish(process)
        assert status == 0
        assert eventually(lambda: listener.payloads(STATUS) == [b"online", b"offline"])
        seen = sequences(listener)
        assert seen == sorted(set(seen))


def test_a_killed_process_is_declared_offline_by_its_last_will(mosquitto, tmp_path, write_config):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        with running(write_config(broker.port)) as process:
            assert eventually(lambda: listener.payloads(TOPIC))
            process.kill()
        assert eventually(lambda: listener.payloads(STATUS) == [b"online", b"offline"])


def test_a_broker_that_goes_away_and_comes_back_gets_every_frame(mosquitto, tmp_path, write_config):
    with Mosquitto(mosquitto, tmp_path) as broker, running(write_config(broker.port)) as process:
        with Listener(broker.port) as before:
            assert eventually(lambda: len(before.payloads(TOPIC)) >= 10)
        broker.kill()
        # One frame in 33 ms: in 2 s without a broker 60 results wait, far below the 1,000.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        broker.start()
        with Listener(broker.port) as after:
            assert eventually(lambda: len(after.payloads(TOPIC)) >= 30)
            status, errors = finish(process)
            payloads = [json.loads(payload) for payload in after.payloads(TOPIC)]
    assert status == 0, errors
    assert "trying again" in errors
    # The listener may come after the first of what had waited; from there on, none is missing but
    # what a busy machine never invoked.
    seen = {payload["sequence"]: payload["dropped_frames"] for payload in payloads}
    first, last = min(seen), max(seen)
    assert last - first + 1 - len(seen) == seen[last] - seen[first]


def test_without_a_broker_the_frame_rate_stays_and_the_end_says_what_was_lost(
    mosquitto, tmp_path, write_config
):
    frames, rates_hz = "150", {"with": 0.0, "without": 0.0}
    for _ in range(MOST_TRIES):
        with Mosquitto(mosquitto, tmp_path) as broker:
            config = write_config(broker.port, outbox=20)
            with running(config, "--frames", frames) as process:
                _, with_broker = process.communicate(timeout=300)
            broker.stop()
            with running(config, "--frames", frames) as process:
                _, without = process.communicate(timeout=300)
        rates_hz["with"] = max(rates_hz["with"], frame_rate_hz(with_broker))
        rates_hz["without"] = max(rates_hz["without"], frame_rate_hz(without))
        if rates_hz["without"] > 0.9 * rates_hz["with"]:
            break
    assert rates_hz["without"] > 0.9 * rates_hz["with"]
    assert process.returncode == 1
    assert "Traceback" not in without
    sentence = [line for line in without.splitlines() if line.startswith("edge: ")]
    assert len(sentence) == 1
    assert "mqtt: 20 results were not delivered" in sentence[0]
    assert "mosquitto_sub" in without  # what to type


def test_a_refused_password_is_one_sentence_and_never_shown(mosquitto, tmp_path, write_config):
    passwords = tmp_path / "passwords"
    program = "mosquitto_passwd"
    try:
        subprocess.run([program, "-b", "-c", passwords, "eye", "right"], check=True)
    except FileNotFoundError:
        pytest.skip(f"no {program}")
    secret = tmp_path / "secret"
    secret.write_text("wr0ng-s3cret\n")
    secret.chmod(0o600)
    with Mosquitto(mosquitto, tmp_path, options=(f"password_file {passwords}",)) as broker:
        config = write_config(
            broker.port, user="eye@", extra=f"password_file = '{secret}'\n", outbox=5
        )
        with running(config, "--frames", "60") as process:
            _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "wr0ng-s3cret" not in errors
    assert "password" in errors


def test_a_password_file_that_others_can_read_is_refused(tmp_path, write_config):
    secret = tmp_path / "secret"
    secret.write_text("pass\n")
    secret.chmod(0o644)
    config = write_config(1, user="eye@", extra=f"password_file = '{secret}'\n")
    with running(config) as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert f"chmod 600 {secret}" in errors


@pytest.mark.parametrize(
    ("target", "told"), [("/dev/full", "No space left on device"), ("gone", "the reader of")]
)
def test_lines_that_cannot_be_written_end_alone(mosquitto, tmp_path, write_config, target, told):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        config = write_config(broker.port, realtime=False, extra="[output]\njsonl = true\n")
        command = [sys.executable, "-m", "edge", "run", str(config), "--frames", "30"]
        if target == "gone":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open(target, os.O_WRONLY)
        run = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300, check=False
        )
        os.close(writer)
        assert eventually(lambda: len(listener.payloads(TOPIC)) == 30)
    assert run.returncode == 1
    assert run.stderr.count(told) == 1
    assert run.stderr.splitlines()[-1].startswith("edge: jsonl: ")
    assert "the other sinks go on" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_reader_that_stands_still_holds_up_no_result_of_the_broker(
    mosquitto, tmp_path, write_config
):
    reader, writer = os.pipe()
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        config = write_config(broker.port, realtime=False, extra="[output]\njsonl = true\n")
        command = [sys.executable, "-m", "edge", "run", str(config), "--frames", "400"]
        run = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
        assert eventually(lambda: len(listener.payloads(TOPIC)) == 400)
    os.close(reader)
    os.close(writer)
    assert run.returncode == 1
    assert re.search(
        r"edge: jsonl: \d+ results were not delivered .*; check what reads", run.stderr
    )
