"""Images of a set: sizes as they are decoded, odd files, and names that are no text."""

from __future__ import annotations

import contextlib
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.evaluation import images

Image = pytest.importorskip("PIL.Image", reason="the extra eval is not installed")

WIDTH, HEIGHT = 40, 30


def save(path, orientation=1):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = (250, 10, 10)
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_an_image_is_that_of_its_decoded_pixels(tmp_path, suffix, orientation):
    path = save(tmp_path / f"a{suffix}", orientation)

    height, width = images.read_image(path).shape[:2]

    assert images.upright_size_wh(path) == (width, height)


def test_odd_files_are_decoded_as_the_others_are(tmp_path):
    expected = images.read_image(save(tmp_path / "a.png", 6))

    np.testing.assert_array_equal(images.read_image(save(tmp_path / "a.tif", 6)), expected)
    assert expected.shape == (WIDTH, HEIGHT, 3)


def test_an_odd_file_of_16_bits_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.tif")

    with pytest.raises(SourceError, match="expected 8 bits a channel, found I;16"):
        images.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
def test_a_name_that_is_no_text_ends_nothing(tmp_path, suffix):
    path = tmp_path / os.fsdecode(b"\xff." + suffix.encode())
    save(tmp_path / f"a.{suffix}").rename(path)

    assert images.find_images(tmp_path) == [path]
    assert images.read_image(path).shape == (HEIGHT, WIDTH, 3)
    assert images.upright_size_wh(path) == (WIDTH, HEIGHT)


@given(data=st.binary(max_size=60), start=st.integers(0, 400))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_damaged_files_are_read_or_refused(tmp_path_factory, suffix, data, start):
    path = save(tmp_path_factory.mktemp("odd") / f"a{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + data + whole[start + len(data) :])

    for read in (images.upright_size_wh, images.read_image):
        with contextlib.suppress(SourceError):
            read(path)


def test_a_list_of_images_may_come_from_windows(tmp_path):
    path = save(tmp_path / "ä.png")
    (tmp_path / "only.txt").write_text("ä.png\r\n", encoding="utf-16")

    assert images.chosen([path], tmp_path / "only.txt") == [path]
