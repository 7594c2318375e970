"""Pipelines of GStreamer: the words, the pure checks, and children that really run."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from waiting import eventually

from edge.capture import child, gst
from edge.capture.options import CameraOptions
from edge.capture.registry import check_source, open_lasting, open_source
from edge.errors import DependencyError, SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0
HALVES = "videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=240"


def has_element(name: str) -> bool:
    inspect = shutil.which("gst-inspect-1.0")
    found = inspect and subprocess.run([inspect, "--exists", name], check=False)
    return bool(found) and found.returncode == 0


has_gstreamer = pytest.mark.skipif(
    not (shutil.which("gst-launch-1.0") and has_element("multipartmux")),
    reason="needs apt install gstreamer1.0-tools gstreamer1.0-plugins-good",
)


def csi(location="", *, is_jetson=False, **options) -> str:
    return " ".join(gst.csi_words(location, CameraOptions(**options), is_jetson=is_jetson))


def test_a_pipeline_is_split_as_a_shell_would_and_no_shell_sees_it():
    words = gst.words_of("v4l2src device=/dev/video0 ! 'video/x-raw, width=640' ! a $HOME;ls")
    assert words == [
        "v4l2src", "device=/dev/video0", "!", "video/x-raw, width=640", "!", "a", "$HOME;ls",
    ]  # fmt: skip


@pytest.mark.parametrize("pipeline", ["", "  ", "a 'b", "--version", "a !", "'a ! b'"])
def test_what_is_no_pipeline_is_refused(pipeline):
    with pytest.raises(SourceError, match="pipeline"):
        check_source(f"gst:{pipeline}")


def test_a_machine_without_gstreamer_says_what_to_type(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for uri in ("gst:videotestsrc", "csi:0"):
        for use in (check_source, open_source):
            with pytest.raises(DependencyError, match="install it: sudo apt install gstreamer"):
                use(uri)


def test_the_camera_of_a_jetson_is_nvidias_and_that_of_others_libcameras():
    assert csi("1", is_jetson=True) == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,"
        "framerate=30000/1000 ! nvvidconv"
    )
    sized = csi(size_wh=(640, 480), rate_hz=12.5)
    assert (
        sized == "libcamerasrc ! video/x-raw,format=NV12,width=640,height=480,framerate=12500/1000"
    )
    assert csi("0") == csi("")
    name = "/base/soc/i2c0mux/i2c@1/imx219@10"
    assert csi(name).startswith(f"libcamerasrc camera-name={name} ! ")


@pytest.mark.parametrize(
    ("location", "is_jetson", "said"),
    [("1", False, "libcamera knows cameras by name"), ("cam", True, "write csi:0")],
)
def test_a_csi_camera_that_cannot_be_named_so_is_refused(location, is_jetson, said):
    with pytest.raises(SourceError, match=said):
        csi(location, is_jetson=is_jetson)


@pytest.mark.parametrize(
    ("compatible", "expected"),
    [
        (b"nvidia,p3768\0nvidia,tegra234\0", True),
        (b"raspberrypi,5-model-b\0", False),
        (None, False),
    ],
)
def test_a_jetson_is_told_by_its_device_tree(tmp_path, compatible, expected):
    path = tmp_path / "compatible"
    if compatible:
        path.write_bytes(compatible)
    assert gst.is_jetson(path) is expected


@has_gstreamer
@pytest.mark.parametrize("width", [320, 322], ids=["rows as long as they are", "padded rows"])
def test_frames_come_as_nv12_of_their_own_size(width):
    uri = f"gst:{HALVES.replace('320', str(width))}"
    with open_source(uri) as source:
        for _ in range(3):
            picture = source.read(None)
            assert picture.format == "nv12"
            assert picture.size_wh == (width, 240)
            # The bars of SMPTE: white, then yellow.
            white, yellow = picture.pixels[100, 10], picture.pixels[100, width // 7 + 10]
            assert (int(white), int(yellow)) == (235, 210)
            assert picture.pixels[240 + 50, :2].tolist() == [128, 128]


CHANGING = (
    "gst:videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240,framerate=100/1 ! c. "
    "videotestsrc num-buffers=400 ! video/x-raw,width={},height={},framerate=100/1 ! c. "
    "concat name=c ! identity sync=true"
)


@has_gstreamer
@pytest.mark.parametrize("size_wh", [(640, 480), (240, 320)], ids=["larger", "turned"])
def test_size_wh_is_the_size_of_the_frames_whatever_the_pipeline_does(size_wh):
    uri = CHANGING.format(*size_wh)
    with open_source(uri, CameraOptions(size_wh=(160, 120))) as source:
        assert {source.read(None).size_wh for _ in range(130)} == {(160, 120)}


@has_gstreamer
@pytest.mark.parametrize("size_wh", [(640, 480), (240, 320)], ids=["larger", "turned"])
def test_without_it_a_change_breaks_the_source_and_no_frame_is_made_of_two(size_wh):
    frames = []
    with (
        open_source(CHANGING.format(*size_wh)) as source,
        pytest.raises(SourceError, match=r"set \[camera\] size_wh to keep one size"),
    ):
        frames.extend(picture.pixels.copy() for picture in iter(lambda: source.read(None), None))
    # Where many bytes are as many as before, the change may be heard a frame late.
    is_turned = size_wh == (240, 320)
    assert len(frames) <= 100 + 2 * is_turned
    for frame in frames[:100]:
        assert (frame[:240] == frames[0][:240])[:150].all()  # the upper bars stand still


@has_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("videotestsrc ! nosuch", "has no element 'nosuch' here; type: sudo apt install gstreamer"),
        (
            "videotestsrc ! video/x-raw,width=321",
            "expected frames of even sides, found 321x240; set",
        ),
        ("filesrc location=/nowhere ! decodebin", "the pipeline ended: Resource not found"),
        ("videotestsrc ! ! fakesink", "the pipeline ended: syntax error"),
        ("videotestsrc num-buffers=0", "the pipeline ended: it has no more frames"),
    ],
)
def test_why_a_pipeline_gives_nothing_is_said_in_its_own_words(pipeline, said):
    with open_source(f"gst:{pipeline}") as source, pytest.raises(SourceError) as caught:
        source.read(None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("setpriv: apply bounding set: Operation not permitted", "ended: setpriv: apply bounding"),
        ("gst-launch-1.0: error while loading shared libraries: libx", "ended: gst-launch-1.0: er"),
        ("Setting location to s3cret", "ended with status 127;"),
    ],
)
def test_a_program_that_does_not_so_much_as_start_is_no_end_of_the_frames(
    tmp_path, monkeypatch, said, reason
):
    """As in a service, where more is forbidden than in a shell."""
    (tmp_path / "launch").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 127\n")
    (tmp_path / "launch").chmod(0o755)
    monkeypatch.setattr(gst, "LAUNCH", str(tmp_path / "launch"))

    with (
        gst.open_gst("videotestsrc", CameraOptions()) as source,
        pytest.raises(SourceError) as told,
    ):
        source.read(None)

    assert f"the pipeline {reason}" in str(told.value)


@has_gstreamer
def test_a_secret_in_a_pipeline_is_not_in_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    uri = "gst:souphttpsrc location=http://me:s3cret@127.0.0.1:1/x user-pw=s3cret ! jpegdec"
    with open_lasting(uri, begin_closed=True) as source:
        threading.Timer(1.0, source.interrupt).start()
        assert source.read(None) is None
    assert "gst:souphttpsrc" in caplog.text
    assert "s3cret" not in caplog.text


@has_gstreamer
def test_a_pipeline_that_stalls_is_opened_again_and_its_child_is_gone(monkeypatch, caplog):
    monkeypatch.setattr(gst, "STALL_S", 0.5)
    monkeypatch.setattr(child, "END_S", 0.2)
    with open_lasting(f"gst:{HALVES}", begin_closed=True) as source:
        assert source.read(None)
        process = source._source.child.process
        os.killpg(process.pid, signal.SIGSTOP)
        while not caplog.messages:
            assert source.read(None)
        assert source.read(None)
    assert "the pipeline gave no frame for 0.5 s" in caplog.messages[0]
    assert process.returncode == -signal.SIGKILL


@has_gstreamer
def test_a_wait_for_a_pipeline_ends_at_once_when_interrupted():
    with open_source("gst:videotestsrc is-live=true ! video/x-raw,framerate=1/1000") as source:
        source.read(None)
        threading.Timer(0.2, source.interrupt).start()
        began_s = time.monotonic()
        assert source.read(None) is None
        assert time.monotonic() - began_s < LONG_S / 5


@has_gstreamer
def test_the_child_dies_with_us_even_when_it_writes_nothing():
    program = (
        "from edge.capture.registry import open_source\n"
        "source = open_source('gst:videotestsrc is-live=true ! video/x-raw,framerate=1/1000')\n"
        "source.read(None)\n"
        "print(source.child.process.pid, flush=True)\n"
        "source.read(None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        child = int(process.stdout.readline())
        process.kill()
    assert eventually(lambda: not is_running(child))


def is_running(pid: int) -> bool:
    try:
        status = open(f"/proc/{pid}/status").read()  # noqa: PTH123, SIM115
    except OSError:
        return False
    return not re.search(r"^State:\s+[ZX]", status, re.MULTILINE)
