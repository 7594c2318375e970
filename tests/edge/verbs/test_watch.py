"""`edge watch` against a real broker: what it shows, that it comes back, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys

import pytest
from broker import Mosquitto
from factories import message
from ports import free_port

from edge import cli
from edge.config.mqtt import Mqtt
from edge.sinks.mqtt import MqttSink, Pace

pytestmark = [pytest.mark.board, pytest.mark.broker]


class Watching:
    """`edge watch` in a process of its own."""

    def __init__(self, root, *words):
        command = [sys.executable, "-m", "edge", "watch", *words]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def until(self, stream, text):
        """Read lines until one holds a text, and return it."""
        data = b""
        while text not in data.rpartition(b"\n")[0]:
            ready, _, _ = select.select([stream], [], [], 60)
            more = os.read(stream.fileno(), 65536) if ready else b""
            assert more, f"no {text!r} in {data!r}"
            data += more
        return next(line for line in data.decode().splitlines() if text.decode() in line)

    def connected(self):
        return self.until(self.process.stderr, b"connected to")

    def shows(self, text):
        return self.until(self.process.stdout, text)


@contextlib.contextmanager
def device(port):
    sink = MqttSink(
        Mqtt(f"mqtt://127.0.0.1:{port}"), "porch", client_id="edge-test", pace=Pace(base_s=0.05)
    )
    try:
        yield sink
    finally:
        sink.close(5)


def test_it_shows_states_and_frames_live_and_goes_on_after_the_broker_was_away(
    tmp_path, mosquitto, root
):
    with Mosquitto(mosquitto, tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        with Watching(root, url) as watch:
            watch.connected()
            with device(broker.port) as sink:
                assert watch.shows(b"online").endswith("  porch  online")
                broker.stop()
                broker.start()
                watch.connected()
                sink.send(message())
                assert watch.shows(b"nothing").endswith("  porch/front  nothing")
            watch.shows(b"offline")
            watch.process.send_signal(signal.SIGINT)
            assert watch.process.wait(300) == 0


def test_for_machines_each_message_is_a_line_of_json(tmp_path, mosquitto, root):
    with Mosquitto(mosquitto, tmp_path) as broker:
        words = [f"mqtt://127.0.0.1:{broker.port}", "--json", "--topic", "edge/+/front/+"]
        with Watching(root, *words) as watch, device(broker.port) as sink:
            watch.connected()
            sink.send(message(7))
            line = json.loads(watch.shows(b"sequence"))
            assert line["topic"] == "edge/porch/front/detections"
            assert line["payload"]["sequence"] == 7
            assert line["received_at"].endswith("Z")
            # A watcher says nothing: no status, no will.
            watch.process.send_signal(signal.SIGTERM)
            assert watch.process.wait(300) == 0


def test_a_broker_that_is_not_there_is_said_at_once(capsys):
    assert cli.main(["watch", f"mqtt://127.0.0.1:{free_port()}"]) == 1
    assert "mqtt: nothing answers at 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["localhost", "mqtt://me:s3cret@host"])
def test_a_url_that_is_none_is_a_misuse_and_no_password_is_repeated(url, capsys):
    assert cli.main(["watch", url]) == 2
    said = capsys.readouterr().err
    assert "[mqtt] url" in said
    assert "s3cret" not in said
