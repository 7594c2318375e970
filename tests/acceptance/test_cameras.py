"""Several cameras in one process: a fair share each, one connection, one status of the device."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from broker import Listener, Mosquitto
from waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.board, pytest.mark.broker]

NAMES = ("door", "gate", "yard")
EDGE = [sys.executable, "-m", "edge"]


def configuration(folder: Path, port: int, *sources: str) -> Path:
    cameras = "".join(
        f'[[camera]]\nname = "{name}"\nsource = "{source}"\nsize_wh = [640, 360]\n'
        for name, source in zip(NAMES, sources, strict=False)
    )
    path = folder / "house.toml"
    path.write_text(f'[device]\nname = "house"\n[mqtt]\nurl = "mqtt://localhost:{port}"\n{cameras}')
    return path


def test_cameras_share_the_interpreter_the_connection_and_the_status(tmp_path, mosquitto):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        path = configuration(tmp_path, broker.port, "demo:", "demo:", "demo:")
        path.write_text(path.read_text().replace("size_wh", "rate_hz = 1000\nsize_wh"))
        result = subprocess.run(
            [*EDGE, "run", path, "--frames", "300"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        counts = {}

        def all_there():
            for name in NAMES:
                counts[name] = len(listener.payloads(f"edge/house/{name}/detections"))
            return sum(counts.values()) == 300

        assert eventually(all_there), counts
        assert max(counts.values()) / min(counts.values()) <= 1.1
        assert eventually(lambda: listener.payloads("edge/house/status") == [b"online", b"offline"])
        for name in NAMES:
            assert listener.payloads(f"edge/house/{name}/status")[-1] == b"offline"


def test_a_camera_that_is_away_is_said_and_the_others_are_seen(tmp_path, mosquitto):
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        path = configuration(tmp_path, broker.port, "demo:", "v4l2:/dev/video987")
        result = subprocess.run(
            [*EDGE, "run", path, "--frames", "10"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

        assert result.returncode == 0, result.stderr
        assert "/dev/video987: expected a camera, found none" in result.stderr
        assert eventually(lambda: len(listener.payloads("edge/house/door/detections")) == 10)
        assert eventually(lambda: listener.payloads("edge/house/gate/status")[-1:] == [b"offline"])


def test_one_camera_that_is_away_ends_the_run(tmp_path):
    result = subprocess.run(
        [*EDGE, "run", "--source", "v4l2:/dev/video987"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert result.returncode == 1
    assert "found none; plug it in" in result.stderr
