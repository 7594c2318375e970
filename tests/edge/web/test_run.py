"""`edge run` with the preview page, as a service has it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from previewing import previewing
from waiting import eventually

from edge.errors import EdgeError
from edge.reload import follow

pytestmark = pytest.mark.board

CONFIG = """
[camera]
source = "demo:"
rate_hz = 10
[web]
port = 0
"""
WITHOUT = """
import sys
from edge import running
from edge.config.reading import parse
running.run(parse({"camera": {"source": "demo:"}, "output": {"jsonl": True}}), max_frames=1)
found = [name for name in sys.modules if name.startswith(("edge.web", "http.server"))]
print(found, file=sys.stderr)
"""


def start(tmp_path):
    path, log = tmp_path / "device.toml", tmp_path / "log"
    path.write_text(CONFIG)
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", path],
            stdout=subprocess.DEVNULL, stderr=stderr,
            env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        )  # fmt: skip
    return process, log


def test_a_run_with_a_viewer_ends_as_it_is_told(tmp_path):
    process, log = start(tmp_path)
    try:
        found = []
        assert eventually(
            lambda: found.extend(re.findall(r":(\d+)/", log.read_text())) or found, timeout_s=60
        )
        with socket.create_connection(("127.0.0.1", int(found[0])), timeout=60) as viewer:
            viewer.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"image/jpeg" not in data:
                data += viewer.recv(65536)
            process.send_signal(signal.SIGTERM)

            assert process.wait(60) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()


def test_a_port_that_is_taken_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(
                EdgeError, match=r"\[web\] cannot listen at 127.0.0.1 port .* in use; set"
            ),
            previewing(frames=False, web={"port": port}),
        ):
            pass


def test_a_run_without_the_section_loads_none_of_it():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=120
    )

    assert done.stderr.splitlines()[-1] == "[]"


def test_a_reload_says_that_the_page_needs_a_restart():
    with previewing(frames=False) as served:
        before = served.parts.config
        said = follow(served.parts, before.replace(web=before.web.replace(port=8081)), None)

        assert said == "nothing has changed; restart for [web]: it begins with a run"
        assert served.parts.config == before
