"""What of `picamera:` needs no camera; test_picamera_contract.py has the rest."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from edge.capture.options import PicameraOptions
from edge.capture.picamera import camera_number, copy_pixels, sensor_ns
from edge.capture.picamera_setup import reduced_wh
from edge.capture.picture import pixel_shape
from edge.capture.registry import check_source, open_source
from edge.config.camera import read_camera
from edge.errors import DependencyError, SourceError
from edge.record import Unsound

pytestmark = pytest.mark.board


@pytest.mark.parametrize(("location", "number"), [("", 0), ("0", 0), ("1", 1)])
def test_a_location_means_a_camera(location, number):
    assert camera_number(location) == number


@pytest.mark.parametrize("location", ["x", "-1", "²", "/dev/video0"])
def test_another_location_says_what_to_write(location):
    with pytest.raises(SourceError, match=r"write picamera: for the first, picamera:1 for the sec"):
        check_source(f"picamera:{location}")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine with neither the bindings nor the program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "-packages" not in path])
    for name in ("libcamera", "picamera2"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("call", [open_source, check_source])
@pytest.mark.parametrize("via", [None, "picamera2", "rpicam-vid"])
def test_without_bindings_or_program_it_is_said_what_to_install(bare, call, via):
    with pytest.raises(DependencyError, match=r"expected .*, found none.*apt install rpicam-apps"):
        call("picamera:", PicameraOptions(via=via))


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [
        ((1280, 720), (640, 360)),
        ((1920, 1080), (640, 360)),
        ((1640, 1232), (640, 480)),
        ((640, 480), (640, 480)),
        ((320, 240), (320, 240)),
    ],
)
def test_the_models_frames_keep_the_aspect_in_even_sides(size_wh, expected):
    assert reduced_wh(size_wh) == expected


def planes(kind, width, height):
    """Return an image each row of whose planes holds a number of its own, as `Picture.pixels`."""
    shape = pixel_shape(kind, (width, height))
    return np.arange(np.prod(shape), dtype=np.int64).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize("padding", [0, 64])
def test_padding_of_rows_is_left_behind_that_between_rows_of_chroma_too(padding):
    width, height = 48, 20
    expected = planes("i420", width, height)
    stride = width + padding
    rows = np.full((height * 3 // 2, stride), 99, np.uint8)
    rows[:height, :width] = expected[:height]
    # As libcamera lays YUV420 out: the stride of U and V is half of that of Y.
    chroma = rows[height:].reshape(-1)
    for row in range(height):
        at = row * stride // 2
        chroma[at : at + width // 2] = expected[height:].reshape(-1, width // 2)[row]
    out = np.zeros_like(expected)
    copy_pixels(rows, "i420", out=out)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kind", ["nv12", "yuyv", "bgr"])
def test_other_formats_are_copied_as_picamera2_shapes_them(kind):
    expected = planes(kind, 48, 20)
    rows = np.concatenate([expected, np.full_like(expected[:, :8], 99)], axis=1)
    out = np.zeros_like(expected)
    copy_pixels(rows, kind, out=out)
    np.testing.assert_array_equal(out, expected)


def test_the_sensors_time_is_taken_from_the_clock_that_counts_sleep(monkeypatch):
    now_ns = time.monotonic_ns()
    slept_ns = 3600 * 10**9
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: now_ns + slept_ns)
    assert sensor_ns({"SensorTimestamp": now_ns + slept_ns - 33_000_000}) == now_ns - 33_000_000
    assert sensor_ns({"SensorTimestamp": 12}) is None
    assert sensor_ns({}) is None


def test_its_options_are_read_from_a_configuration():
    camera = read_camera(
        {
            "source": "picamera:", "size_wh": [1920, 1080], "model_wh": [640, 360], "rotate": 180,
            "controls": {"AfMode": "Continuous", "ExposureTime": 8000, "ColourGains": [1.5, 1.2]},
        }
    )  # fmt: skip
    assert camera.options.controls["ColourGains"] == (1.5, 1.2)
    assert camera.flat()["model_wh"] == (640, 360)
    with pytest.raises(Unsound, match="rotate"):
        read_camera({"source": "picamera:", "rotate": 45})
