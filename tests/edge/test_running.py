"""A run ends on a signal, and takes over thresholds from a changed configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.board

CONFIG = """
[camera]
source = "demo:"
rate_hz = 60
[model]
score_threshold = {threshold}
[device]
name = "{name}"
"""


@pytest.fixture
def running(tmp_path):
    """Return a configuration's path and a process that runs it, its lines and its log."""
    path = tmp_path / "device.toml"
    path.write_text(CONFIG.format(threshold=0.99, name="porch"))
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(
        [sys.executable, "-m", "edge", "run", path],
        stdout=subprocess.PIPE, stderr=log, env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
    ) as process:  # fmt: skip
        yield path, process, tmp_path / "log"
        process.kill()


def seen(process, wanted, *, lines=400):
    """Read lines until one holds as many detections as wanted; return whether one did."""
    return any(
        wanted(len(json.loads(process.stdout.readline())["detections"])) for _ in range(lines)
    )


def test_thresholds_of_a_changed_file_are_followed_between_two_frames(running):
    path, process, log = running
    assert not seen(process, lambda count: count > 0, lines=5)
    path.write_text(CONFIG.format(threshold=0.3, name="porch"))
    process.send_signal(signal.SIGHUP)

    assert seen(process, lambda count: count > 0)
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(300) == 0
    assert "reload: new: score_threshold = 0.3" in log.read_text()
    assert "restart" not in log.read_text()


def test_what_cannot_change_is_told_and_a_faulty_file_changes_nothing(running):
    path, process, log = running
    process.stdout.readline()
    path.write_text(CONFIG.format(threshold=0.99, name="garage"))
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 120
    while "restart" not in log.read_text() and time.monotonic() < deadline:
        process.stdout.readline()
    path.write_text("[model]\nscore_treshold = 0.1\n")
    process.send_signal(signal.SIGHUP)
    while "score_treshold" not in log.read_text() and time.monotonic() < deadline:
        process.stdout.readline()

    text = log.read_text()
    assert "nothing has changed; restart for [device] name: it is a level of every topic" in text
    assert "nothing changed" in text
    assert json.loads(process.stdout.readline())["device"] == "porch"
