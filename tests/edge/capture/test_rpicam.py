"""`picamera:` through a child; a stand-in with `rpicam-vid`'s options and output writes frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from edge.capture import child, picamera, rpicam
from edge.capture.options import PicameraOptions
from edge.capture.registry import check_source, open_source
from edge.capture.rpicam import CONTROLS, command
from edge.errors import DependencyError, SourceError

pytestmark = pytest.mark.board

SMALL = {"size_wh": (256, 144), "rate_hz": 200, "via": "rpicam-vid"}


@pytest.fixture
def camera(tmp_path, monkeypatch, root):
    """Have the stand-in found, and return what opens a camera through it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "rpicam-vid"
    script = root / "tests" / "support" / "fake_rpicam_vid.py"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{script}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_RPICAM_SEEN", str(tmp_path / "seen.json"))

    def opened(wrong="", number=0, **options):
        monkeypatch.setenv("FAKE_RPICAM", wrong)
        return open_source(f"picamera:{number}", PicameraOptions(**(SMALL | options)))

    return opened


def seen(folder):
    return json.loads((folder / "seen.json").read_text())


def test_frames_come_in_order_as_the_camera_made_them(camera):
    with camera() as source:
        assert source.live
        for number in range(20):
            picture = source.read(None)
            assert (picture.format, picture.size_wh) == ("j420", (256, 144))
            assert set(picture.pixels[:144].flat) == {16 + number}
            assert set(picture.pixels[144:180].flat) == {90}
            assert set(picture.pixels[180:].flat) == {160}
            assert 0 <= time.monotonic_ns() - picture.captured_ns < 5 * 10**9


def test_what_is_asked_for_stands_on_the_command_line_in_its_own_words(camera, tmp_path):
    controls = {"ExposureTime": 8000, "AwbMode": "Daylight", "AnalogueGain": 2.5}
    with camera(rotate=180, controls=controls) as source:
        source.read(None)
    asked = seen(tmp_path)
    for option, value in {
        "--camera": "0", "--width": "256", "--height": "144", "--framerate": "200",
        "--codec": "yuv420", "--output": "-", "--timeout": "0", "--rotation": "180",
        "--shutter": "8000", "--awb": "daylight", "--gain": "2.5",
    }.items():  # fmt: skip
        assert asked[asked.index(option) + 1] == value
    assert {"--nopreview", "--flush"} <= set(asked)


def test_a_quarter_turn_is_not_asked_of_the_sensor_but_made_here(camera, tmp_path):
    with camera(rotate=90) as source:
        assert source.read(None).size_wh == (144, 256)
    assert "--rotation" not in seen(tmp_path)


def test_every_control_is_an_option_of_the_program(camera, tmp_path):
    texts = {"AfMode": "continuous", "AwbMode": "auto"}
    with camera(controls={name: texts.get(name, 1) for name in CONTROLS}) as source:
        assert source.read(None)
    assert set(CONTROLS.values()) <= set(seen(tmp_path))


@pytest.mark.parametrize(
    ("wrong", "frames", "sentence"),
    [
        pytest.param("none", 0, r"ended with status 255: ERROR: \*\*\* no cameras", id="no camera"),
        pytest.param("ends:3", 3, r"status 255: ERROR: \*\*\* failed to start", id="an error"),
        pytest.param("gone:2", 2, r"picamera:0: rpicam-vid ended with status -9", id="killed"),
    ],
)
def test_a_program_that_ends_is_missed_at_once_with_what_it_said(camera, wrong, frames, sentence):
    with camera(wrong) as source:
        for _ in range(frames):
            assert source.read(None)
        with pytest.raises(SourceError, match=sentence) as caught:
            source.read(None)
    assert "\n" not in str(caught.value)


def test_a_program_that_falls_silent_is_given_up(camera, monkeypatch):
    monkeypatch.setattr(rpicam, "STALL_S", 0.3)
    with camera("silent:2") as source:
        assert source.read(None)
        assert source.read(None)
        with pytest.raises(SourceError, match=r"rpicam-vid gave no frame for 0.3 s.*check the cam"):
            source.read(None)


def test_a_wait_can_be_interrupted(camera):
    with camera("silent:1") as source:
        source.read(None)
        threading.Timer(0.1, source.interrupt).start()
        assert source.read(None) is None


def test_another_size_than_asked_for_is_no_torn_picture_but_a_sentence(camera):
    with (
        camera("smaller") as source,
        pytest.raises(SourceError, match=r"asked rpicam-vid for 256x144 YUV420, it gives 128x72"),
    ):
        source.read(None)


@pytest.mark.parametrize("wrong", ["", "deaf"])
def test_closing_ends_the_program_even_one_that_does_not_want_to(camera, monkeypatch, wrong):
    monkeypatch.setattr(child, "END_S", 0.5 if wrong else 60.0)
    source = camera(wrong)
    source.read(None)
    process = source.child.process
    source.close()
    source.close()
    assert process.returncode == (-signal.SIGKILL if wrong else 0)


def test_a_size_whose_rows_would_be_padded_is_refused_with_one_that_is_not():
    for call in (check_source, open_source):
        with pytest.raises(SourceError, match=r"found 640x481; write size_wh = \[640, 480\]"):
            call("picamera:", PicameraOptions(size_wh=(640, 481), via="rpicam-vid"))
        with pytest.raises(SourceError, match=r"that 128 divides.*write size_wh = \[256, 240\]"):
            call("picamera:", PicameraOptions(size_wh=(320, 240), via="rpicam-vid"))
        with pytest.raises(
            SourceError, match=r"rpicam-vid has no control HdrMode; it has AfMode, "
        ):
            call("picamera:", PicameraOptions(controls={"HdrMode": 1}, via="rpicam-vid"))


@pytest.mark.parametrize(
    "broken",
    ["raise ImportError('of Python 3.13')", "raise ValueError('numpy.dtype size changed')"],
    ids=["another Python", "another NumPy"],
)
def test_where_the_bindings_do_not_fit_the_program_is_taken_and_that_is_said(
    camera, monkeypatch, caplog, tmp_path, broken
):
    (tmp_path / "libcamera.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "libcamera", raising=False)
    with camera(via=None) as source:
        assert source.read(None).format == "j420"
    assert (
        "picamera: is read through rpicam-vid, as this Python cannot import picamera2 ("
        in caplog.text
    )


def test_the_bindings_that_were_asked_for_are_not_replaced(camera, monkeypatch):
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(DependencyError, match=r"python3-picamera2.*--system-site-packages"):
        camera(via="picamera2")


def test_ctrl_c_on_the_terminal_reaches_the_program_only_through_its_owner(camera):
    with camera() as source:
        source.read(None)
        group = os.getpgid(source.child.process.pid)
        assert group != os.getpgid(os.getpid())


def test_the_real_program_has_every_option_that_is_used():
    """Where it is installed its own help is asked."""
    if not picamera.program() or "rpicam" not in picamera.program():
        pytest.skip("needs rpicam-vid")
    done = subprocess.run(
        [picamera.program(), "--help"], capture_output=True, text=True, check=True
    )
    options = PicameraOptions(rate_hz=5, rotate=180, controls=dict.fromkeys(CONTROLS, 1))
    used = {word for word in command("rpicam-vid", 0, options) if word.startswith("--")}
    assert {word for word in used if word not in done.stdout} == set()
