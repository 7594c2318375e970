"""OpenCV's own V4L2 code on a driver that is made up: `fake_v4l2.c`, preloaded into a child."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest
from waiting import Stopwatch

from edge.capture.replay import Player

pytestmark = [
    pytest.mark.board,
    pytest.mark.skipif(
        not shutil.which("cc") or sys.platform != "linux", reason="needs a C compiler on Linux"
    ),
]

# Luma of the first frame: OpenCV may be built to leave out the very first, which is often bad.
SKIPPED = (16, 17)
# Reads six frames, prints what it saw of them and what ended it.
PROGRAM = """
import json, logging, sys, threading, time
from edge.capture import v4l2
from edge.capture.options import V4l2Options

logging.basicConfig()
asked = json.loads(sys.argv[1])
v4l2.STALL_S = v4l2.START_S = asked.pop("silence_s", 10)
interrupt_s = asked.pop("interrupt_s", 60)
seen, ended = [], ""
with v4l2.V4l2Source("9", V4l2Options(**asked)) as source:
    timer = threading.Timer(interrupt_s, source.interrupt)
    timer.daemon = True
    timer.start()
    try:
        while len(seen) < 6 and (picture := source.read(None)):
            age_ms = (time.monotonic_ns() - picture.captured_ns) / 1e6
            utc_age_ms = (time.time_ns() - picture.captured_utc_ns) / 1e6
            level = int(picture.pixels.reshape(-1)[0])
            seen.append([picture.format, picture.size_wh, list(picture.pixels.shape), level,
                         age_ms, utc_age_ms, picture.work_ns / 1e6])
        if len(seen) < 6:
            ended = "interrupted"
    except OSError as error:
        ended = str(error)
print(json.dumps([seen, ended]))
"""
NOT_YET = "the camera is open and gives no frame yet"


@pytest.fixture(scope="module")
def library(tmp_path_factory, root):
    path = tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so"
    source = root / "tests" / "support" / "fake_v4l2.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source, "-ldl"], check=True)
    return path


@pytest.fixture
def read(library, root):
    def run(then: dict[str, str] | None = None, **asked):
        environment = os.environ | {"LD_PRELOAD": str(library)} | (then or {})
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(asked)],
            cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert (NOT_YET in done.stderr) is ("FAKE_V4L2_AFTER_S" in environment)
        return json.loads(done.stdout)

    return run


@pytest.mark.parametrize(
    ("asked", "kind", "shape"),
    [
        pytest.param({}, "yuyv", [480, 640, 2], id="nothing"),
        pytest.param({"format": "nv12"}, "nv12", [720, 640], id="nv12"),
        pytest.param({"format": "grey"}, "grey", [480, 640], id="grey"),
        pytest.param({"format": "mjpg"}, "yuyv", [480, 640, 2], id="what it does not have"),
        pytest.param({"size_wh": [320, 240]}, "yuyv", [240, 320, 2], id="a size"),
    ],
)
def test_raw_frames_come_as_they_are_in_order_with_the_drivers_time(read, asked, kind, shape):
    seen, ended = read(**asked)

    assert ended == ""
    assert [frame[0] for frame in seen] == [kind] * 6
    assert [frame[2] for frame in seen] == [shape] * 6
    first = seen[0][3]
    assert first in SKIPPED
    assert [frame[3] for frame in seen] == list(range(first, first + 6))
    assert [frame[1] for frame in seen] == [asked.get("size_wh", [640, 480])] * 6
    # Of each the least: what else a machine does only adds to them.
    age_ms, utc_age_ms, work_ms = map(min, zip(*(frame[4:] for frame in seen[1:]), strict=True))
    assert 5 <= age_ms < 60
    assert 4 <= utc_age_ms < 60
    assert work_ms < 20  # the 33 ms between two frames are no work


def test_a_camera_that_falls_silent_is_given_up_after_a_while(read):
    seen, ended = read({"FAKE_V4L2_FRAMES": "3"}, silence_s=0.5)
    assert 3 - len(seen) in (0, 1)
    assert ended == "/dev/video9: the camera gave no frame for 0.5 s; check its cable and dmesg"


def test_a_camera_that_is_unplugged_is_missed_at_once(read):
    seen, ended = read({"FAKE_V4L2_FRAMES": "3", "FAKE_V4L2_THEN": "gone"})
    assert 3 - len(seen) in (0, 1)
    assert ended == "/dev/video9: the camera stopped giving frames; check its cable and dmesg"


def test_waiting_for_a_silent_camera_can_be_interrupted(read):
    seen, ended = read({"FAKE_V4L2_FRAMES": "3"}, silence_s=50, interrupt_s=1)
    assert 3 - len(seen) in (0, 1)
    assert ended == "interrupted"


def test_a_camera_that_takes_its_time_for_the_first_frame_is_waited_for(read):
    seen, ended = read({"FAKE_V4L2_AFTER_S": "3"})
    assert ended == ""
    assert len(seen) == 6


def test_a_camera_that_never_gives_a_frame_can_be_interrupted_and_is_given_up(read):
    with Stopwatch() as watch:
        assert read({"FAKE_V4L2_AFTER_S": "100"}, interrupt_s=0.2) == [[], "interrupted"]
    # OpenCV's own wait would be 10 s; most of this is Python's start.
    assert watch.elapsed_s < 8
    seen, ended = read({"FAKE_V4L2_AFTER_S": "100"}, silence_s=1.5)
    assert seen == []
    assert ended == "/dev/video9: the camera gave no frame for 1.5 s; check its cable and dmesg"


def test_what_a_camera_gave_is_recorded_as_it_came_with_the_drivers_times(library, root, tmp_path):
    clip = tmp_path / "door.rec"
    subprocess.run(
        [sys.executable, "-m", "edge", "record", "v4l2:9", "--out", clip, "--frames", "6"],
        cwd=root, env=os.environ | {"LD_PRELOAD": str(library)}, check=True, timeout=60,
    )  # fmt: skip
    player, seen = Player(clip), []
    while frame := player.next_frame(None):
        seen.append(frame)
    assert player.header.source == "v4l2:9"
    assert [entry.format for entry, _ in seen] == ["yuyv"] * 6
    levels = [int(pixels[0, 0, 0]) for _, pixels in seen]
    assert levels == list(range(levels[0], levels[0] + 6))
    for (earlier, _), (later, _) in itertools.pairwise(seen):
        # Of the driver's clock, whatever this machine was busy with.
        assert 1 < (later.captured_ns - earlier.captured_ns) / 1e6 < 500
    assert clip.stat().st_size < 100_000  # of 3.7 MB, all of one grey
