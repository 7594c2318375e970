"""`edge record` writes what `edge run` then sees again, byte for byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from edge.capture import registry
from edge.capture.options import SourceOptions
from edge.capture.picture import Picture
from edge.cli import main
from edge.errors import SourceError

pytestmark = pytest.mark.board

# Of a message, what tells how long things took, and when.
TIMES = ("stage_ms", "age_ms", "captured_at")


def messages(*arguments):
    """Return the lines of a run, each without its times."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", "run", *map(str, arguments), "--jsonl"],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    taken_at = [line["captured_at"] for line in lines]
    return [
        json.dumps({key: line[key] for key in line if key not in TIMES}) for line in lines
    ], taken_at


def test_detections_on_a_recording_are_those_on_its_source_byte_for_byte(tmp_path, capsys):
    config, clip = tmp_path / "door.toml", tmp_path / "door.rec"
    config.write_text(
        '[camera]\nname = "camera"\nsource = "demo:"\nsize_wh = [640, 480]\nrealtime = false\n'
    )
    assert main(["record", "--config", str(config), "--out", str(clip), "--frames", "10"]) == 0
    assert f"edge run --source replay:{clip}" in capsys.readouterr().out

    seen, _ = messages(config, "--frames", 10)
    again, taken_at = messages("--source", f"replay:{clip}")
    once_more, still_taken_at = messages("--source", f"replay:{clip}")

    assert len(seen) == 10
    assert any(json.loads(line)["detections"] for line in seen)
    assert again == seen
    assert (once_more, still_taken_at) == (again, taken_at)


def test_what_was_written_is_told_as_json(tmp_path, capsys):
    clip = tmp_path / "door.rec"
    assert main(["record", "demo:", "--out", str(clip), "--frames", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(clip), "frames": 2, "bytes": clip.stat().st_size}


def test_a_recording_ends_at_its_limit_of_disk_and_says_so(tmp_path, caplog):
    clip = tmp_path / "door.rec"
    assert main(["record", "demo:", "--out", str(clip), "--max-mib", "2"]) == 0
    assert "--max-mib 2 is reached" in caplog.text
    assert 2**20 < clip.stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "stop"])
def test_a_signal_ends_a_recording_that_can_be_played(tmp_path, number):
    clip, part = tmp_path / "door.rec", tmp_path / "door.rec.part"
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "record", "demo:", "--out", clip],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    give_up_s = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 2**19) and time.monotonic() < give_up_s:
        time.sleep(0.05)
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert text.startswith(f"{clip}: ")
    assert not part.exists()
    assert main(["run", "--source", f"replay:{clip}", "--frames", "1"]) == 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status", "advice"),
    [
        pytest.param([], 2, "expected a SOURCE or --config FILE", id="no source"),
        pytest.param(["demo:", "--camera", "a"], 2, "--camera with --config alone", id="both"),
        pytest.param(["door.avi"], 2, "for a file write file:door.avi", id="no URI"),
        pytest.param(["file:none.avi"], 1, "none.avi: expected a video", id="no file"),
        pytest.param(["--config", "two.toml"], 2, "write --camera with one of a, b", id="two"),
        pytest.param(
            ["--config", "two.toml", "--camera", "c"], 2, "with one of a, b", id="another camera"
        ),
    ],
)
def test_what_cannot_be_recorded_is_a_sentence_and_no_file(
    folder, capsys, arguments, status, advice
):
    (folder / "two.toml").write_text('[[camera]]\nname = "a"\n[[camera]]\nname = "b"\n')
    assert main(["record", *arguments, "--out", "door.rec"]) == status
    told = capsys.readouterr().err
    assert advice in told
    assert told.startswith("edge: ")
    assert told.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["two.toml"]


class Broken:
    """A camera that breaks after so many frames."""

    live = False

    def __init__(self, frames):
        self._left = frames

    def read(self, buffer):
        self._left -= 1
        if self._left < 0:
            raise SourceError("/dev/video0: the camera is gone")
        return Picture(np.zeros((4, 4), np.uint8), 0, 0, 0, "grey")

    def interrupt(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Locked(Broken):
    """Is interrupted while its reader holds the lock that an interrupt takes."""

    def __init__(self):
        super().__init__(1)
        self._lock = threading.Lock()
        self._interrupted = threading.Event()

    def read(self, buffer):
        if self._left:
            return super().read(buffer)
        with self._lock:
            os.kill(os.getpid(), signal.SIGINT)
        assert self._interrupted.wait(10)
        return None

    def interrupt(self):
        if self._lock.acquire(timeout=1):
            self._interrupted.set()
            self._lock.release()


def test_a_signal_waits_for_no_lock_that_the_reader_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "open_lasting", lambda *_: Locked())
    assert main(["record", "demo:", "--out", str(tmp_path / "door.rec")]) == 0


@pytest.mark.parametrize("frames", [0, 3])
def test_what_came_before_a_source_broke_is_kept(tmp_path, monkeypatch, capsys, frames):
    clip = tmp_path / "door.rec"
    monkeypatch.setattr(registry, "open_lasting", lambda *_: Broken(frames))
    assert main(["record", "demo:", "--out", str(clip)]) == 1
    assert "the camera is gone" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["door.rec"][: bool(frames)]
    if frames:
        with registry.open_source(f"replay:{clip}") as source:
            assert [source.read(None) is None for _ in range(4)] == [False] * 3 + [True]


def test_so_many_seconds_end_also_a_camera_that_gives_nothing(tmp_path, capsys):
    clip = tmp_path / "door.rec"
    began_s = time.monotonic()
    assert main(["record", "v4l2:9876", "--out", str(clip), "--seconds", "1"]) == 1
    assert "found none" in capsys.readouterr().err
    assert main(["record", "demo:", "--out", str(clip), "--seconds", "1"]) == 0
    assert 1 <= time.monotonic() - began_s < 20
    assert 1 < int(capsys.readouterr().out.split()[1]) <= 31


def test_a_silent_camera_is_told_after_its_seconds(tmp_path, monkeypatch, capsys):
    demo = registry.open_source("demo:", SourceOptions(rate_hz=0.001))
    assert demo.read(None)
    monkeypatch.setattr(registry, "open_lasting", lambda *_: demo)
    assert main(["record", "demo:", "--out", str(tmp_path / "door.rec"), "--seconds", "1"]) == 1
    assert "demo: gave no frame, and nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_no_text_can_be_recorded(tmp_path, capsys):
    image = tmp_path / os.fsdecode(b"caf\xe9.png")
    image.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    clip = tmp_path / "door.rec"
    assert main(["record", f"file:{image}", "--out", str(clip)]) == 0
    assert clip.read_bytes().startswith(b'{"edge_recording":1,"camera":"camera","source":"file:')
