"""The source `picamera:` on picamera2's real classes and libcamera's virtual camera.

Real are libcamera's core, its Python bindings, and picamera2's threads, requests and configuration.
Not real are sensor, image processor, autofocus, exposure, the pace of frames and their dma-bufs.
Made up are sensor modes, which the virtual pipeline lacks; picamera2's own allocator, of one plane
for NV12, at which libcamera aborts; and modules of displays, encoders and raw files, where they are
not installed. `scripts/board-test next` has what else it needs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.board,
    pytest.mark.skipif(
        not (importlib.util.find_spec("libcamera") and importlib.util.find_spec("picamera2")),
        reason="needs libcamera's Python bindings and picamera2",
    ),
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
]

DESCRIPTION = """
"Virtual0":
  supported_formats:
  - {width: 1280, height: 720, frame_rates: [30, 60]}
  - {width: 640, height: 360, frame_rates: [30, 60]}
  test_pattern: "bars"
  location: "CameraLocationFront"
  model: "Virtual Video Device"
"""
# Luma of colour bars: white, yellow, cyan, green, magenta, red, blue, black.
BARS = [235, 210, 169, 144, 107, 82, 41, 16]
PROGRAM = """
import json, logging, sys, threading, time
from unittest import mock

for name in "pykms prctl pidng pidng.core pidng.camdefs".split():
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = mock.MagicMock()
import libcamera, picamera2
from picamera2.allocators import LibcameraAllocator


class Camera(picamera2.Picamera2):
    def __init__(self, number):
        super().__init__(number)
        self.allocator = LibcameraAllocator(self.camera)

    def _get_raw_modes(self):
        return [{"format": "NV12", "size": (1280, 720)}]


picamera2.Picamera2 = Camera
from edge.capture.picture import Scaler
from edge.capture.registry import open_source
from edge.config.camera import read_camera

logging.basicConfig(format="%(message)s", level=logging.INFO)
logging.getLogger("picamera2").setLevel(logging.ERROR)
asked = json.loads(sys.argv[1])
times, stall = asked.pop("times", 1), asked.pop("stall", "")
seen, ended = [], ""
for _ in range(times):
    camera = read_camera({"source": "picamera:"} | asked)
    try:
        with open_source(camera.source, camera.options) as source:
            for number in range(4):
                picture = source.read(None)
                whole = picture.larger() if picture.larger else picture
                shown = Scaler("bgr").reduced(picture, max_side_px=1280)
                row, width = picture.pixels[10], picture.pixels.shape[1]
                seen.append({
                    "format": picture.format, "size_wh": picture.size_wh,
                    "luma": row[width // 16 :: width // 8].tolist(),
                    "whole_wh": whole.size_wh, "shown": shown.shape,
                    "left": shown[5, 5].tolist(),
                    "age_ms": (time.monotonic_ns() - picture.captured_ns) / 1e6,
                })
            if stall:
                source._patience_s = 0.5
                if stall == "gone":
                    source._camera.camera.stop()  # under picamera2, which does not know
                else:
                    source._camera.process_requests = lambda _: None
                if stall == "interrupt":
                    source._patience_s = 60
                    threading.Timer(0.3, source.interrupt).start()
                ended = str(source.read(None))
    except OSError as error:
        ended = str(error)
print(json.dumps([seen, ended, threading.active_count()]))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("libcamera")
    (folder / "virtual.yaml").write_text(DESCRIPTION)
    source = root / "tests" / "support" / "fake_dma_heap.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "heap.so", source, "-ldl"], check=True)
    return {
        "LD_PRELOAD": str(folder / "heap.so"),
        "FAKE_VIRTUAL_YAML": str(folder / "virtual.yaml"),
        "LIBCAMERA_LOG_LEVELS": "*:ERROR",
    }


@pytest.fixture
def read(environment, root):
    def run(**asked):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(asked)],
            cwd=root, env=os.environ | environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen, ended, threads = json.loads(done.stdout)
        assert threads == 1
        return seen, ended, done.stderr

    return run


def test_the_model_sees_the_small_stream_and_pictures_are_made_of_the_large_one(read):
    seen, ended, log = read()
    assert ended == ""
    assert len(seen) == 4
    for frame in seen:
        assert frame["format"] == "nv12"
        assert (frame["size_wh"], frame["whole_wh"]) == ([640, 360], [1280, 720])
        assert frame["shown"] == [720, 1280, 3]
        assert frame["luma"] == BARS
        assert all(level > 240 for level in frame["left"])  # white
        assert 0 <= frame["age_ms"] < 2000
    # What was asked for was YUV420, which this camera has not: what it gives is read back and said.
    assert "picamera:0: main is 1280x720, NV12" in log
    assert "picamera:0: lores is 640x360, NV12" in log
    # Later versions of the virtual camera have a colour space of their own, which is said too.
    assert re.search(r"asked for \d", log) is None


def test_a_size_that_the_camera_changes_without_a_word_is_read_back_and_told(read):
    seen, ended, log = read(size_wh=[1000, 600], model_wh=[600, 300])
    assert ended == ""
    assert "main: asked for 1000x600, it gives 1280x720" in log
    assert {tuple(frame["whole_wh"]) for frame in seen} == {(1280, 720)}
    assert all(frame["luma"] == BARS for frame in seen)


def test_one_stream_is_enough_where_the_model_sees_the_whole(read):
    seen, ended, _ = read(size_wh=[640, 360])
    assert ended == ""
    assert {(*frame["size_wh"], *frame["whole_wh"]) for frame in seen} == {(640, 360, 640, 360)}


def test_a_camera_that_was_closed_can_be_opened_again(read):
    seen, ended, _ = read(times=3)
    assert ended == ""
    assert len(seen) == 12


def test_a_control_is_set_and_one_that_the_camera_lacks_is_a_sentence(read):
    assert read(rate_hz=30, controls={"FaceDetectMode": "Off"})[1] == ""
    _, ended, _ = read(controls={"LensPosition": 2.0})
    assert ended.startswith("picamera:0: the camera has no control LensPosition; it has F")
    _, ended, _ = read(controls={"FaceDetectMode": "Sometimes"})
    assert "control FaceDetectMode expects one of " in ended
    assert "found 'Sometimes'" in ended


def test_a_camera_that_falls_silent_is_given_up(read):
    seen, ended, _ = read(stall="silent")
    assert len(seen) == 4
    assert ended == "picamera:0: the camera gave no frame for 0.5 s; check its cable and dmesg"


def test_a_camera_that_is_gone_is_missed_at_once(read):
    seen, ended, _ = read(stall="gone", times=2)
    assert len(seen) == 8
    assert ended.startswith("picamera:0: the camera stopped giving frames (")


def test_waiting_for_a_silent_camera_can_be_interrupted(read):
    seen, ended, _ = read(stall="interrupt")
    assert len(seen) == 4
    assert ended == "None"


def test_a_camera_that_is_not_there_is_a_sentence(read):
    seen, ended, _ = read(source="picamera:3")
    assert seen == []
    assert ended.startswith(
        "picamera:3: expected a camera that is free, found none (No camera number 3"
    )
    assert ended.endswith("list them: rpicam-hello --list-cameras")


def test_turning_upside_down_is_the_sensors_and_sideways_is_ours(read):
    seen, ended, _ = read(rotate=90)
    assert ended == ""
    assert seen[0]["size_wh"] == [360, 640]
    assert seen[0]["shown"] == [1280, 720, 3]
    assert read(rotate=180)[1] == ""
