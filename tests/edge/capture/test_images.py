from __future__ import annotations

import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from edge.capture.images import load_image, open_images
from edge.capture.registry import open_source
from edge.capture.source import SourceOptions
from edge.errors import SourceError

pytestmark = pytest.mark.board


EVERY = SourceOptions()


def level(image: np.ndarray) -> int:
    """Return which image of `folder` this is."""
    return round(float(image.mean()) / 20)


def read_all(source, *, limit: int = 100) -> list[np.ndarray]:
    images = []
    with source:
        while len(images) < limit and (image := source.read(None)) is not None:
            images.append(image)
    return images


@pytest.fixture
def folder(tmp_path):
    """Three images whose names sort otherwise than they were made, and a text beside them."""
    for index, name in ((2, "c.png"), (0, "a.jpg"), (1, "b.BMP")):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), 20 * index, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image either")
    return tmp_path


def test_a_folder_gives_each_image_once_by_name_and_passes_over_the_rest(folder):
    source = open_source(f"images:{folder}", EVERY)
    assert [level(image) for image in read_all(source)] == [0, 1, 2]
    assert [level(image) for image in read_all(open_source(f"file:{folder}", EVERY))] == [0, 1, 2]


def test_a_looping_folder_starts_again(folder):
    source = open_images(str(folder), SourceOptions(loop=True))
    assert [level(image) for image in read_all(source, limit=7)] == [0, 1, 2, 0, 1, 2, 0]


def test_images_in_real_time_come_at_the_rate_asked_for(folder):
    began_s = time.monotonic()
    source = open_images(str(folder), SourceOptions(realtime=True, rate_hz=50.0))
    assert source.live
    assert len(read_all(source)) == 3
    assert time.monotonic() - began_s >= 2 / 50


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 16:] = 255
    data = cv2.imencode(".jpg", image)[1].tobytes()
    # TIFF 6.0: one entry, tag 0x0112 Orientation, SHORT, 6 = turn clockwise by 90 degrees.
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    exif = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    path = tmp_path / "sideways.jpg"
    path.write_bytes(data[:2] + exif + data[2:])
    upright = load_image(path)
    assert upright.shape == (32, 16, 3)
    assert upright[4].mean() < 10
    assert upright[-4].mean() > 245


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"a folder of images .*, found none in 1 entries"):
        open_images(str(tmp_path), EVERY)


def test_an_unreadable_image_of_a_folder_is_named_after_those_before_it(folder):
    (folder / "b.BMP").write_bytes(b"BM but not a bitmap" * 9)
    with open_images(str(folder), EVERY) as source:
        assert level(source.read(None)) == 0
        with pytest.raises(SourceError, match=r"b\.BMP: expected"):
            source.read(None)


def test_an_image_taken_away_after_opening_is_named(folder):
    with open_images(str(folder), EVERY) as source:
        (folder / "a.jpg").unlink()
        with pytest.raises(SourceError, match=r"a\.jpg: cannot be read"):
            source.read(None)


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "expected"),
    [
        pytest.param(90, (6, 8), np.uint8, (90, 90, 90), id="grey"),
        pytest.param((10, 20, 30, 0), (6, 8, 4), np.uint8, (10, 20, 30), id="with alpha"),
        pytest.param(90 * 257, (6, 8), np.uint16, (90, 90, 90), id="16 bits, grey"),
        pytest.param((2570, 5140, 7710), (6, 8, 3), np.uint16, (10, 20, 30), id="16 bits, colour"),
    ],
)
def test_every_kind_of_png_becomes_three_bytes_a_pixel(tmp_path, value, shape, dtype, expected):
    path = tmp_path / "image.png"
    assert cv2.imwrite(str(path), np.full(shape, value, dtype))
    image = load_image(path)
    assert (image.shape, image.dtype) == ((6, 8, 3), np.uint8)
    assert tuple(image[3, 4]) == expected


def test_a_header_that_claims_a_gigapixel_is_refused_by_name(folder):
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    (folder / "b.BMP").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )
    )
    with open_images(str(folder), EVERY) as source:
        source.read(None)
        with pytest.raises(SourceError, match=r"b\.BMP: expected at most 64 megapixels"):
            source.read(None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("missing", {}, "expected a folder of images, found nothing", id="missing"),
        pytest.param(
            "a.jpg", {}, "expected a folder of images, found a file; write file:", id="file"
        ),
        pytest.param("", {"size_wh": (64, 48)}, "keeps its own frame sizes", id="a size"),
    ],
)
def test_what_is_no_folder_of_images_is_refused(folder, name, options, message):
    with pytest.raises(SourceError, match=message):
        open_images(str(folder / name), SourceOptions(**options))
