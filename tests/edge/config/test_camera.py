"""The section `[camera]`: its flat keys, and what is refused of a source before it is opened."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.registry import check_source
from edge.config import reading as config
from edge.config.camera import Camera, read_camera
from edge.config.sections import Device
from edge.errors import ConfigError, SourceError
from edge.record import Unsound, read
from edge.verbs import check

pytestmark = pytest.mark.board

DOOR = """
[camera]
name = "door"
source = "{source}"
size_wh = [1280, 720]
rate_hz = 15
"""


@pytest.fixture
def folder(tmp_path):
    """A configuration's folder with a video, a folder of images, and things that are neither."""
    image = np.full((48, 64, 3), 90, np.uint8)
    writer = cv2.VideoWriter(
        str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48)
    )
    for _ in range(5):
        writer.write(image)
    writer.release()
    (tmp_path / "with space").mkdir()
    cv2.imwrite(str(tmp_path / "with space" / "a.png"), image)
    clip = bytearray((tmp_path / "clip.avi").read_bytes())
    clip[clip.index(b"00dc") :] = bytes(len(clip) - clip.index(b"00dc"))
    (tmp_path / "frameless.avi").write_bytes(clip)
    (tmp_path / "cut.avi").write_bytes((tmp_path / "clip.avi").read_bytes()[:100])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no image")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def door(folder, source):
    path = folder / "door.toml"
    path.write_text(DOOR.format(source=source), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "source",
    ["demo:", "v4l2:/dev/video9876", "file:clip.avi", "images:with space",
     "file:///{folder}/with%20space", "file:~/clip.avi"],
)  # fmt: skip
def test_a_configuration_stays_right_when_its_camera_is_replaced(folder, source, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    path = door(folder, source.format(folder=str(folder).lstrip("/")))

    settings = config.load(path, {})
    assert check.examine(settings)[1] == []
    (camera,) = settings.cameras
    assert camera.options.size_wh == (1280, 720)
    assert camera.options.rate_hz == 15


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("v4l2:cam0", "names no device"),
        ("v4l2:pipe", "names no device"),
        ("v4l2:/dev/null", "expected a camera, found something else"),
        ("demo:xyz", "takes nothing after its colon"),
        ("file:gone.mp4", "found nothing"),
        ("file:empty.mp4", "expected a video or an image"),
        ("file:cut.avi", "expected a video"),
        ("file:frameless.avi", "expected a video"),
        ("file:pipe", "found a pipe"),
        ("images:pipe", "found a pipe"),
        ("images:bad", "a.jpg: expected a JPEG, PNG or BMP image"),
        ("images:clip.avi", "found a file; write file:"),
    ],
)
def test_what_run_refuses_of_a_source_check_refuses_with_the_same_sentence(folder, source, fault):
    settings = config.load(door(folder, source), {})
    (camera,) = settings.cameras

    (found,) = check.examine(settings)[1]

    assert found.startswith("[camera] source: ")
    assert fault in found
    with pytest.raises(SourceError) as caught:
        check_source(camera.source, camera.options)
    assert str(caught.value) in found


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ("source = 'srt://me:s3cret@cam'", "[camera] source: srt: is not a source: streams are"),
        (
            "source = 'demo:'\npassword_file = 's3cret'",
            "password_file: demo: has no such key; take",
        ),
        (
            "source = 'demo:'\nformat = 'yuyv'",
            "[camera] format: demo: has no such key; take",
        ),
        ("source = 'v4l2:0'\nrealtime = false", "[camera] realtime: a camera is always live"),
        ("source = 'v4l2:0'\nformat = 'h264'", "[camera] format: expected 'mjpg' or 'yuyv'"),
        ("source = 'v4l2:0'\nsise_wh = [1, 1]", "unknown key 'sise_wh'; did you mean 'size_wh'?"),
        ("rate = 3", "[camera] 'rate = 3' has no unit; write 'rate_hz = 3'"),
        ("options = 3", "[camera] unknown key 'options'"),
        (
            "rate_hz = inf",
            "[camera] rate_hz: expected a number greater than 0 up to 1000, found inf",
        ),
    ],
)
def test_a_fault_of_a_key_is_named_as_it_was_written(tmp_path, keys, fault):
    path = tmp_path / "door.toml"
    path.write_text(f"[camera]\n{keys}\n", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        config.load(path, {})

    assert fault in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "door", "source": "v4l2:0", "size_wh": [640, 480], "format": "yuyv"},
        {"name": "door", "source": "rtsp://me@door/1", "password_file": "/etc/edge/door.password"},
    ],
    ids=["of this machine", "of the network"],
)
def test_a_section_is_written_as_it_is_read(fields):
    camera = read_camera(fields)

    assert json.loads(json.dumps(camera.flat())) == fields
    assert read_camera(camera.flat()) == camera


def test_each_of_several_cameras_has_its_own_options_and_is_checked(folder):
    path = folder / "doors.toml"
    text = "[[camera]]\nname = 'a'\nsource = 'v4l2:0'\nformat = 'nv12'\n[[camera]]\nname = 'b'\n"
    path.write_text(text + "source = 'file:clip.avi'\nloop = true\n", encoding="utf-8")
    first, second = config.load(path, {}).cameras
    assert (first.options.format, second.options.loop) == ("nv12", True)
    assert check.examine(config.load(path, {}))[1] == []

    path.write_text(text + "source = 'file:gone'\n", encoding="utf-8")
    (fault,) = check.examine(config.load(path, {}))[1]
    gone = f"{folder / 'gone'}: expected a video, an image or a folder of images, found nothing"
    assert fault == f"[[camera]] 2 (b) source: {gone}; check the path with ls"

    path.write_text(text + "rate = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[\[camera\]\] 2 \(b\) 'rate = 3' has no unit"):
        config.load(path, {})


@given(st.text(max_size=70))
def test_a_name_is_accepted_exactly_if_each_character_may_stand_in_a_topic(name):
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    for kind in (Device, Camera):
        if 1 <= len(name) <= 64 and all(character in allowed for character in name):
            assert read(kind, {"name": name}).name == name
        else:
            with pytest.raises(Unsound, match="name: expected 1 to 64 of the characters"):
                read(kind, {"name": name})
