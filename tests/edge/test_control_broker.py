"""Requests come by a real broker where that is allowed, and their answers go there."""

from __future__ import annotations

import json

import pytest
from broker import Listener, Mosquitto
from live_runs import CONFIG, live_run
from waiting import eventually

from edge.commands import COMMANDS
from edge.messages.envelope import Received

pytestmark = [pytest.mark.board, pytest.mark.broker]


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return where a configuration's file goes; its state is the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "device.toml"


def test_commands_come_from_the_broker_and_are_answered_there(path, tmp_path, mosquitto):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(mosquitto, folder) as broker, Listener(broker.port) as listener:
        # One that is kept would be carried out at each start.
        kept = ("edge/porch/command/enabled", '{"enabled": false}', 1, True)
        listener._client.publish(*kept).wait_for_publish(60)
        mqtt = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\ncommands = true\n'
        path.write_text(CONFIG.format(name="porch") + mqtt)

        def ask(name, payload):
            topic = f"edge/porch/reply/{name if name in COMMANDS else 'unknown'}"
            before = len(listener.payloads(topic))
            listener._client.publish(f"edge/porch/command/{name}", payload, 1)
            assert eventually(lambda: len(listener.payloads(topic)) > before, timeout_s=30)
            return json.loads(listener.payloads(topic)[-1])

        def last(topic):
            return listener.payloads(f"edge/porch/{topic}")[-1]

        def settings():
            return json.loads(last("settings"))

        with live_run(path) as run:
            assert eventually(lambda: listener.payloads("edge/porch/settings"), timeout_s=30)
            assert eventually(lambda: "edge/porch/command/+" in broker.log, timeout_s=30)
            assert run.wait_for(2)
            reply = ask("threshold", '{"id": 7, "score_threshold": 0.9}')
            assert (reply["id"], reply["ok"], reply["device"]) == (7, True, "porch")
            assert eventually(lambda: settings()["score_threshold"] == 0.9)
            assert not settings()["paused"]
            assert ask("threshold", b"\xff")["ok"] is False
            assert "expected a command" in ask("fire", "{}")["message"]
            assert ask("enabled", '{"enabled": false}')["settings"]["paused"] == ["camera"]
            assert eventually(lambda: last("camera/status") == b"paused")
            assert ask("enabled", '{"enabled": true}')["ok"]
            assert run.wait_for(2)
            assert eventually(lambda: settings()["paused"] == [])
            assert settings()["score_threshold"] == 0.9


def test_without_leave_the_broker_commands_nothing(path, tmp_path, mosquitto):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(mosquitto, folder) as broker:
        mqtt = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
        path.write_text(CONFIG.format(name="porch") + mqtt)
        with live_run(path) as run:
            assert eventually(lambda: "/presence" in broker.log, timeout_s=30)
            run.control.hear("edge/x/command/threshold", Received(b'{"score_threshold": 0.9}'))
            assert run.ask("threshold", score_threshold=0.4).settings["score_threshold"] == 0.4
            assert "/command/" not in broker.log
