"""`edge run` as a service manager runs it: what it is told, how it ends, and safe mode."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from broker import Listener, Mosquitto
from notify_socket import Manager
from ports import free_port
from waiting import eventually

from edge.config.reading import load
from edge.service.starts import MOST_FAILED, Starts, Voice, file_name

pytestmark = [pytest.mark.board, pytest.mark.broker]

CONFIG = """
[device]
name = "roof"
[camera]
name = "north"
source = "{source}"
[model]
score_threshold = 0.5
[mqtt]
url = "mqtt://127.0.0.1:{port}"
"""
DEMO = 'demo:"\nsize_wh = [320, 240]\nrealtime = true\nrate_hz = 30\n#"'
MODE, STATUS = "edge/roof/mode", "edge/roof/status"


@pytest.fixture
def roof(tmp_path):
    """Return a function that writes the configuration anew, and the path of that."""
    path = tmp_path / "roof.toml"

    def write(port, source=DEMO, more=""):
        path.write_text(CONFIG.format(port=port, source=source) + more)
        return path

    return write


@contextmanager
def service(config, manager, *options):
    environment = os.environ | {
        "NOTIFY_SOCKET": manager.address, "STATE_DIRECTORY": str(config.parent / "state"),
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "run", str(config), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def ended(process):
    _, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors, errors
    return process.returncode


def fail_often(config, manager):
    """Fail to start a last time; scripts/service_test fails five times on a real systemd."""
    for _ in range(MOST_FAILED - 1):
        Starts(config.parent / "state", [config]).begin()
    with service(config, manager) as process:
        assert ended(process) != 0


def modes(listener):
    return [json.loads(payload) for payload in listener.payloads(MODE)]


def test_it_says_that_it_is_ready_reloads_and_ends_well(mosquitto, tmp_path, roof):
    with (
        Mosquitto(mosquitto, tmp_path) as broker,
        Listener(broker.port) as listener,
        Manager() as manager,
        service(roof(broker.port), manager) as process,
    ):
        assert manager.hears("READY=1")
        assert eventually(lambda: listener.payloads("edge/roof/north/detections"))
        assert manager.hears("WATCHDOG=1", times=2)
        assert eventually(lambda: modes(listener))
        process.send_signal(signal.SIGHUP)
        assert manager.hears("RELOADING=1")
        assert manager.hears("READY=1", times=2)
        process.terminate()
        assert ended(process) == 0
        assert manager.hears("STOPPING=1")
        assert eventually(lambda: listener.payloads(STATUS)[-1:] == [b"offline"])
    assert modes(listener)[-1]["mode"] == "normal"


def test_without_a_broker_sigterm_still_ends_it_well(roof):
    with Manager() as manager, service(roof(free_port()), manager) as process:
        assert manager.hears("READY=1")
        process.terminate()
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "were not delivered within 0.3 s of the end" in errors


def test_a_camera_that_is_away_at_the_start_is_waited_for(roof):
    source = f"http://127.0.0.1:{free_port()}/stream"
    with Manager() as manager, service(roof(free_port(), source), manager) as process:
        assert manager.hears("READY=1")
        assert manager.hears("WATCHDOG=1", times=2)
        assert any("(away: north)" in line for line in manager.told)
        process.terminate()
        assert ended(process) == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("[tracking]\nlost_s = -1\n", id="a fault", marks=pytest.mark.slow),
        pytest.param("this is no TOML", id="no TOML"),
    ],
)
def test_after_failed_starts_it_speaks_from_safe_mode_and_a_mended_file_ends_that(
    mosquitto, tmp_path, roof, fault
):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        # What a good start leaves behind, for when nothing of the file can be read.
        spoken = Voice.of(load(roof(broker.port), {}))
        Starts(tmp_path / "state", [tmp_path / "roof.toml"]).forget(spoken)
        with Manager() as manager:
            config = roof(broker.port, more=fault)
            fail_often(config, manager)
            assert manager.count("READY=1") == 0
            with service(config, manager) as process:
                assert manager.hears("STATUS=safe mode, 5 starts failed: ")
                assert eventually(
                    lambda: modes(listener)[-1:] and modes(listener)[-1]["mode"] == "safe"
                )
                assert str(config) in modes(listener)[-1]["reason"]
                assert eventually(lambda: listener.payloads(STATUS)[-1:] == [b"online"])
                assert eventually(
                    lambda: listener.payloads("edge/roof/north/status")[-1:] == [b"offline"]
                )
                roof(broker.port)
                assert manager.hears("READY=1", times=2)
                assert eventually(
                    lambda: modes(listener)[-1:] and modes(listener)[-1]["mode"] == "normal"
                )
                assert eventually(
                    lambda: listener.payloads("edge/roof/north/status")[-1] == b"online"
                )
                process.terminate()
                assert ended(process) == 0


def test_the_command_reload_ends_safe_mode_and_others_are_answered(mosquitto, tmp_path, roof):
    with (
        Mosquitto(mosquitto, tmp_path) as broker,
        Listener(broker.port) as listener,
        Manager() as manager,
    ):
        config = roof(broker.port, more='[[sink]]\nkind = "jsonl"\npath = "no/such/folder/x"\n')
        fail_often(config, manager)
        with service(config, manager) as process:
            assert manager.hears("STATUS=safe mode")
            assert eventually(lambda: modes(listener))
            listener._client.publish("edge/roof/command/model", '{"id": 7}')
            assert eventually(lambda: listener.payloads("edge/roof/reply/model"))
            (tmp_path / "no/such/folder").mkdir(parents=True)
            listener._client.publish("edge/roof/command/reload", "?")
            assert manager.hears("READY=1", times=2)
            process.terminate()
            assert ended(process) == 0
        assert eventually(lambda: listener.payloads("edge/roof/reply/reload"))
    answer = json.loads(listener.payloads("edge/roof/reply/model")[0])
    assert answer["id"] == 7
    assert not answer["ok"]
    assert json.loads(listener.payloads("edge/roof/reply/reload")[0])["ok"]


def test_safe_mode_can_be_left_out_and_ends_on_sigterm(tmp_path, roof):
    config = roof(free_port(), more="[camra]\n")
    with Manager() as manager:
        fail_often(config, manager)
        with service(config, manager, "--no-safe") as process:
            assert ended(process) == 2
        with service(config, manager) as process:
            assert manager.hears("STATUS=safe mode, 6 starts")
            process.terminate()
            assert ended(process) == 0
    assert json.loads((tmp_path / "state" / file_name(config)).read_bytes())["failed"] == 0


def test_by_hand_no_start_is_counted(tmp_path, roof):
    config = roof(free_port(), more="[camra]\n")
    environment = {key: each for key, each in os.environ.items() if key != "NOTIFY_SOCKET"}
    done = subprocess.run(
        [sys.executable, "-m", "edge", "run", str(config)], check=False, capture_output=True,
        env=environment | {"STATE_DIRECTORY": str(tmp_path / "state")}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert not (tmp_path / "state").exists()
