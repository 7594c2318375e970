"""Every kind of image file becomes upright 8-bit B G R, or an error that names it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from image_files import exif_orientation, png_claiming

from edge.capture.files import open_file
from edge.capture.images import load_image, open_images
from edge.capture.options import SourceOptions
from edge.errors import SourceError

pytestmark = pytest.mark.board

BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def test_an_image_is_turned_upright_by_its_exif_orientation(tmp_path):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, :16] = RED
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(exif_orientation(jpeg, 6))  # to be turned clockwise

    upright = load_image(path)

    assert upright.shape == (32, 16, 3)
    assert upright[4, 8, 2] > 200
    assert upright[28, 8].max() < 50


def test_gray_is_repeated_in_all_channels(tmp_path):
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "gray.png"), gray)

    np.testing.assert_array_equal(load_image(tmp_path / "gray.png"), gray[..., None].repeat(3, 2))


def test_alpha_is_dropped_and_colours_stay(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., :3] = BLUE
    rgba[..., 3] = 7
    cv2.imwrite(str(tmp_path / "alpha.png"), rgba)

    image = load_image(tmp_path / "alpha.png")

    assert image.shape == (4, 4, 3)
    assert (image == BLUE).all()


@pytest.mark.parametrize(
    ("sixteen", "eight"), [(0, 0), (65535, 255), (257, 1), (128, 0), (129, 1), (32896, 128)]
)
def test_sixteen_bits_are_scaled_to_eight_and_rounded(tmp_path, sixteen, eight):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((2, 2, 3), sixteen, np.uint16))

    assert (load_image(tmp_path / "deep.png") == eight).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "found an empty file", id="empty"),
        pytest.param(b"GIF89a" + bytes(20), "expected a JPEG, PNG or BMP image", id="another kind"),
        pytest.param(png_claiming(60_000, 60_000), r"x\.png: ", id="header bomb"),
        pytest.param(png_claiming(8, 8), "cannot be decoded", id="no pixels"),
    ],
)
def test_what_is_no_image_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "x.png"
    path.write_bytes(content)

    with pytest.raises(SourceError, match=message) as caught:
        load_image(path)

    assert str(path) in str(caught.value)


def test_a_header_bomb_is_refused_before_its_pixels_are_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(30_000, 30_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))

    with pytest.raises(SourceError):
        load_image(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(SourceError, match=r"gone\.jpg: cannot be read: No such file"):
        load_image(tmp_path / "gone.jpg")


@pytest.mark.parametrize("name", [b"\xff.png", b"caf\xe9.png", "ü.png".encode()])
def test_the_name_of_a_file_is_bytes(tmp_path, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    path.write_bytes(cv2.imencode(".png", np.full((4, 6, 3), 9, np.uint8))[1].tobytes())

    assert load_image(path).shape == (4, 6, 3)
    assert read_all(open_images(str(tmp_path), SourceOptions())) == [(6, 4)]
    assert read_all(open_file(str(path), SourceOptions())) == [(6, 4)]


def test_a_video_whose_name_is_no_text_is_refused_and_does_not_end_the_process(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    path.write_bytes(b"no video")

    with pytest.raises(SourceError, match="expected a name in UTF-8, found one with other bytes"):
        open_file(str(path), SourceOptions())


def read_all(source) -> list[tuple[int, int]]:
    with source:
        return [picture.size_wh for picture in iter(lambda: source.read(None), None)]
