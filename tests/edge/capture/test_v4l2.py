from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture.options import V4l2Options
from edge.capture.source import differences
from edge.capture.v4l2 import (
    BUFFERS,
    V4l2Source,
    check_device,
    check_v4l2,
    device_path,
    explain,
    is_there,
    raw_pixels,
    requested,
)
from edge.errors import SourceError

pytestmark = pytest.mark.board

DEVICE = Path("/dev/video0")


def test_a_camera_is_there_while_its_device_is(tmp_path):
    path = tmp_path / "video0"
    assert not is_there(str(path), V4l2Options())
    path.touch()
    assert is_there(str(path), V4l2Options())


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param("0", "/dev/video0", id="number"),
        pytest.param("12", "/dev/video12", id="two digits"),
        pytest.param("/dev/video3", "/dev/video3", id="path"),
        pytest.param("/dev/v4l/by-id/usb-cam", "/dev/v4l/by-id/usb-cam", id="stable name"),
    ],
)
def test_a_location_means_a_device(location, expected):
    assert device_path(location) == Path(expected)


@pytest.mark.parametrize("location", ["", "video0", "-1", "²"])
def test_another_location_says_what_to_write(location):
    with pytest.raises(SourceError, match=r"write v4l2:/dev/video0, or v4l2:0"):
        device_path(location)


def test_a_missing_camera_says_how_to_list_those_there_are():
    with pytest.raises(SourceError, match=r"^/dev/video9876: expected a camera, found none; .*ls "):
        V4l2Source("9876", V4l2Options())


@pytest.mark.parametrize("kind", ["file", "other device"])
def test_what_is_no_camera_is_refused(tmp_path, kind):
    path = tmp_path / "video0"
    path.touch()
    path = path if kind == "file" else Path(os.devnull)
    with pytest.raises(SourceError, match="expected a camera, found something else"):
        V4l2Source(str(path), V4l2Options())


def test_a_folder_is_no_camera(tmp_path):
    with pytest.raises(SourceError, match=r"expected a camera, but opening it failed"):
        check_device(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_forbidden_camera_says_which_group_to_join(tmp_path):
    path = tmp_path / "video0"
    path.touch(mode=0)
    with pytest.raises(SourceError, match=r"sudo usermod -aG video \$USER"):
        check_device(path)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        pytest.param(errno.EACCES, "sudo usermod -aG video $USER", id="forbidden by mode"),
        pytest.param(errno.EPERM, "sudo usermod -aG video $USER", id="forbidden by a container"),
        pytest.param(errno.ENOENT, "ls /dev/video*", id="missing"),
        pytest.param(errno.ENODEV, "ls /dev/video*", id="unplugged"),
        pytest.param(errno.EBUSY, "fuser -v /dev/video0", id="busy"),
        pytest.param(errno.EIO, "Input/output error", id="other"),
    ],
)
def test_each_reason_has_its_advice(number, advice):
    assert advice in explain(OSError(number, os.strerror(number)), DEVICE)


def test_a_camera_is_always_live():
    assert V4l2Options(realtime=True, loop=True)
    with pytest.raises(ValueError, match="a camera is always live; take realtime = false out"):
        V4l2Options(realtime=False)


def test_a_large_frame_is_asked_for_compressed_and_the_format_before_the_size():
    wanted = requested(V4l2Options(size_wh=(1280, 720), rate_hz=30.0))
    assert [prop for prop, _ in wanted] == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_BUFFERSIZE,
    ]
    assert int(wanted[0][1]).to_bytes(4, "little") == b"MJPG"
    assert wanted[-1][1] == BUFFERS


def test_a_small_frame_is_asked_for_raw():
    wanted = dict(requested(V4l2Options(size_wh=(640, 480))))
    assert cv2.CAP_PROP_FOURCC not in wanted
    assert cv2.CAP_PROP_FPS not in wanted


def test_without_wishes_only_the_buffer_is_set():
    assert requested(V4l2Options()) == [(cv2.CAP_PROP_BUFFERSIZE, BUFFERS)]


def test_what_was_granted_otherwise_is_told():
    options = V4l2Options(size_wh=(1280, 720), rate_hz=30.0)
    assert differences(options, size_wh=(1280, 720), rate_hz=29.97) == []
    assert differences(options, size_wh=(640, 480), rate_hz=15.0) == [
        "asked for 1280x720, it gives 640x480",
        "asked for 30 Hz, it gives 15 Hz",
    ]
    assert differences(V4l2Options(), size_wh=(1, 1), rate_hz=0.0) == []


def raw(*, rows: int, row_bytes: int, tail_bytes: int = 0) -> np.ndarray:
    """Return the bytes of a frame, each of a row holding its number."""
    lines = np.repeat(np.arange(rows, dtype=np.uint8)[:, None], row_bytes, axis=1)
    return np.concatenate([lines.reshape(-1), np.full(tail_bytes, 99, np.uint8)])[None]


@pytest.mark.parametrize("extra", [(0, 0), (16, 0), (0, 7)], ids=["", "padded rows", "a tail"])
@pytest.mark.parametrize(
    ("fourcc", "rows", "row_bytes", "shape"),
    [("YUYV", 8, 32, (8, 16, 2)), ("NV12", 12, 16, (12, 16)), ("GREY", 8, 16, (8, 16))],
)
def test_raw_bytes_take_the_shape_of_their_format(fourcc, rows, row_bytes, shape, extra):
    padding_bytes, tail_bytes = extra
    data = raw(rows=rows, row_bytes=row_bytes + padding_bytes, tail_bytes=tail_bytes)
    pixels = raw_pixels(data, fourcc, size_wh=(16, 8))
    assert pixels.shape == shape
    assert np.shares_memory(pixels, data)
    for row in range(rows):
        assert (pixels[row] == row).all()


def test_a_raw_frame_that_is_cut_short_is_none():
    assert raw_pixels(np.zeros((1, 255), np.uint8), "YUYV", size_wh=(16, 8)) is None


@pytest.mark.parametrize("location", ["cam0", "pipe", "", "/dev/null", "{folder}/pipe", "{folder}"])
def test_what_can_be_no_camera_is_refused_without_opening_it(tmp_path, location):
    os.mkfifo(tmp_path / "pipe")
    location = location.format(folder=tmp_path)
    with pytest.raises(SourceError, match=r"names no device|expected a camera, found something"):
        check_v4l2(location, V4l2Options())


def test_a_camera_that_may_be_plugged_in_later_is_no_fault():
    check_v4l2("9876", V4l2Options())


@pytest.mark.hardware
def test_a_real_camera_gives_frames_of_the_size_it_granted():
    with V4l2Source("0", V4l2Options(size_wh=(640, 480))) as source:
        first = source.read(None)
        assert source.read(first.pixels).size_wh == first.size_wh
