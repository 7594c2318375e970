"""Every format ends at another size as converting all of it first would, to a few levels."""

from __future__ import annotations

import functools
import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import yuv_pictures

from edge.capture.picture import Picture, Scaler, pixel_shape
from edge.capture.synthetic import SCENES, SCENES_FOLDER

pytestmark = pytest.mark.board

FORMATS = ("nv12", "i420", "j420", "yuyv", "grey", "bgr")
# Against OpenCV's conversion of the whole frame, then a bilinear resize. Of photographs, levels of
# 255: chroma is interpolated here and repeated there, and what is rounded twice is rounded once.
MEAN_LEVELS, P999_LEVELS, MOST_LEVELS = 0.5, 8, 20
SIZES_WH = [(300, 169), (300, 300), (320, 180), (416, 234), (640, 360), (641, 361), (1280, 720)]


@pytest.fixture(scope="module")
def photo():
    """A photograph as a camera of 720p would give it."""
    return cv2.resize(cv2.imread(str(SCENES_FOLDER / SCENES[0][0])), (1280, 720))


@pytest.fixture(scope="module")
def camera(photo):
    """Return the photograph in a format, and all of it converted: each is made once."""

    @functools.cache
    def made(kind):
        picture = yuv_pictures.picture(photo, kind)
        return picture, yuv_pictures.whole(picture)

    return made


def scaled(picture: Picture, size_wh, color="rgb", scaler=None) -> np.ndarray:
    out = np.full((size_wh[1], size_wh[0], 3), 77, np.uint8)
    (scaler or Scaler(color)).scale(picture, out=out)
    return out


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("size_wh", SIZES_WH)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_what_converting_all_of_it_first_gives(camera, kind, size_wh, color):
    picture, whole = camera(kind)
    if color == "rgb":
        whole = whole[..., ::-1].copy()
    expected = cv2.resize(whole, size_wh, interpolation=cv2.INTER_LINEAR)

    difference = np.abs(scaled(picture, size_wh, color).astype(int) - expected)

    if kind in ("bgr", "grey"):
        assert difference.max() == 0
    assert difference.mean() <= MEAN_LEVELS
    assert np.percentile(difference, 99.9) <= P999_LEVELS
    assert difference.max() <= MOST_LEVELS


@pytest.mark.parametrize("kind", ["nv12", "i420", "j420", "yuyv"])
@pytest.mark.parametrize("luma", [0, 16, 128, 235, 255])
def test_flat_colours_are_those_of_a_conversion_of_the_whole_to_the_level(kind, luma):
    for u, v in ((128, 128), (16, 240), (240, 16), (90, 160)):
        picture = yuv_pictures.flat(kind, (luma, u, v), size_wh=(64, 48))
        expected = yuv_pictures.whole(picture)[0, 0].astype(int)
        assert np.abs(scaled(picture, (20, 10), "bgr") - expected).max() <= 1


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("i420", "j420")])
def test_rows_may_be_further_apart_than_they_are_long(camera, kind):
    picture, _ = camera(kind)
    larger = np.zeros((picture.pixels.shape[0], picture.pixels.shape[1] + 6, 4), np.uint8)
    pixels = picture.pixels
    flat = larger.reshape(len(larger), -1)[:, : pixels[0].size]
    flat[:] = pixels.reshape(len(pixels), -1)
    apart = flat.reshape(pixels.shape)
    assert not apart.flags["C_CONTIGUOUS"]
    for size_wh in ((300, 169), (800, 450)):
        one, other = (scaled(Picture(p, 0, 0, 0, kind), size_wh) for p in (pixels, apart))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size_wh", [(300, 169), (800, 450)])
def test_formats_and_sizes_in_turn_leave_nothing_of_one_another(camera, size_wh):
    scaler = Scaler("rgb")
    for kind in (*FORMATS, *FORMATS[::-1]):
        picture, _ = camera(kind)
        for wh in (size_wh, (64, 36)):
            np.testing.assert_array_equal(scaled(picture, wh, scaler=scaler), scaled(picture, wh))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size_wh", [(300, 169), (800, 450)])
def test_pictures_of_one_kind_make_no_array(camera, kind, size_wh):
    scaler, (picture, _) = Scaler("rgb"), camera(kind)
    out = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    scaler.scale(picture, out=out)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    scaler.scale(picture, out=out)
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    assert peak_bytes < 4096


@pytest.mark.parametrize(
    ("max_side_px", "size_wh"),
    [(640, (640, 360)), (99, (99, 56)), (5000, (1280, 720)), (1, (1, 1))],
)
def test_a_reduced_picture_keeps_its_aspect_and_is_never_larger(photo, max_side_px, size_wh):
    picture = yuv_pictures.picture(photo, "bgr")
    reduced = Scaler("bgr").reduced(picture, max_side_px=max_side_px)
    assert reduced.shape == (size_wh[1], size_wh[0], 3)
    assert reduced.base is not photo


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [
        pytest.param((48, 64, 3), "bgr", id="bgr"),
        pytest.param((72, 64), "nv12", id="nv12"),
        pytest.param((72, 64), "i420", id="i420"),
        pytest.param((72, 64), "j420", id="j420"),
        pytest.param((48, 64, 2), "yuyv", id="yuyv"),
        pytest.param((48, 64), "grey", id="grey"),
    ],
)
def test_the_size_is_that_of_the_image_not_of_the_array(shape, pixel_format):
    picture = Picture(np.zeros(shape, np.uint8), 0, 0, 0, pixel_format)

    assert picture.size_wh == (64, 48)
    assert pixel_shape(pixel_format, (64, 48)) == shape


@pytest.mark.parametrize("color", ["bgr", "rgb", "grey"])
@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_that_is_to_be_turned_is_turned_when_it_is_small(camera, kind, rotate, color):
    picture, _ = camera(kind)
    turned = replace(picture, rotate=rotate)
    size_wh = (300, 169) if rotate == 180 else (169, 300)
    channels = () if color == "grey" else (3,)
    straight, out = (
        np.empty((169, 300, *channels), np.uint8),
        np.empty((*size_wh[::-1], *channels), np.uint8),
    )
    Scaler(color).scale(picture, out=straight)
    Scaler(color).scale(turned, out=out)
    np.testing.assert_array_equal(out, np.rot90(straight, -rotate // 90))
    assert turned.size_wh == ((1280, 720) if rotate == 180 else (720, 1280))


def test_a_reduced_picture_is_made_of_the_larger_one_where_it_has_more_to_show(photo):
    whole = yuv_pictures.picture(photo, "nv12")
    small = Picture(cv2.resize(photo, (320, 180)), 0, 0, 0, rotate=90, larger=lambda: whole)
    assert Scaler("bgr").reduced(small, max_side_px=320).shape == (320, 180, 3)
    assert Scaler("bgr").reduced(small, max_side_px=640).shape == (640, 360, 3)
    expected = np.rot90(Scaler("bgr").reduced(whole, max_side_px=640), -1)
    np.testing.assert_array_equal(Scaler("bgr").reduced(small, max_side_px=640), expected)
