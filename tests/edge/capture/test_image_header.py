from __future__ import annotations

import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.image_header import MAX_IMAGE_PIXELS, MAX_PNG_CHUNKS, check_pixels, read_size
from edge.capture.images import load_image
from edge.errors import SourceError

pytestmark = pytest.mark.board

ENCODINGS = [
    pytest.param(".png", (), id="png"),
    pytest.param(".bmp", (), id="bmp"),
    pytest.param(".jpg", (), id="jpeg"),
    pytest.param(".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), id="progressive jpeg"),
    pytest.param(".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 1), id="jpeg with restarts"),
]


def encode(suffix: str, size_wh: tuple[int, int], options: tuple[int, ...] = ()) -> bytes:
    image = np.random.default_rng(1).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    encoded, data = cv2.imencode(suffix, image, options)
    assert encoded
    return data.tobytes()


def png(size_wh: tuple[int, int]) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", *size_wh, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(size_wh: tuple[int, int], *, before: bytes = b"") -> bytes:
    """A JPEG that claims a size and holds no image data."""
    frame = struct.pack(">BHHB", 8, size_wh[1], size_wh[0], 0)
    segment = b"\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame
    return b"\xff\xd8" + before + segment + b"\xff\xd9"


def bmp(size_wh: tuple[int, int]) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<Iii", 40, *size_wh) + bytes(28)


@pytest.mark.parametrize(("suffix", "options"), ENCODINGS)
@pytest.mark.parametrize("size_wh", [(1, 1), (33, 7), (640, 480)])
def test_the_size_of_a_real_image_is_read(tmp_path, suffix, options, size_wh):
    path = tmp_path / "image"
    path.write_bytes(encode(suffix, size_wh, options))
    assert read_size(path) == size_wh


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@given(kept_ratio=st.floats(0.03, 0.97))
def test_an_image_that_is_cut_short_is_refused(tmp_path_factory, suffix, kept_ratio):
    path = tmp_path_factory.mktemp("cut") / "image"
    data = encode(suffix, (40, 30))
    path.write_bytes(data[: max(8, int(len(data) * kept_ratio))])
    with pytest.raises(SourceError, match=r"image: expected a whole image, found one that is cut"):
        read_size(path)


@pytest.mark.parametrize("make", [png, jpeg, bmp])
@pytest.mark.parametrize("size_wh", [(40_000, 40_000), (8001, 8000)])
def test_a_header_that_claims_too_much_is_refused_unread(tmp_path, make, size_wh):
    path = tmp_path / "bomb"
    path.write_bytes(make(size_wh))
    width, height = size_wh
    with pytest.raises(SourceError, match=rf"most 64 megapixels, its header says {width}x{height}"):
        read_size(path)


def test_exactly_the_limit_is_let_through(tmp_path):
    assert MAX_IMAGE_PIXELS == 8000 * 8000
    check_pixels(tmp_path, (8000, 8000))


@pytest.mark.parametrize("kind", [b"tEXt", b"IDAT"])
def test_a_png_chunk_that_claims_more_than_the_file_has_is_refused(tmp_path, kind):
    path = tmp_path / "image.png"
    data = png((40, 30))
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + struct.pack(">I4s", 2**31 - 1, kind) + data[at:])
    with pytest.raises(SourceError, match="cut short or damaged"):
        read_size(path)


def test_a_png_of_endless_empty_chunks_is_refused(tmp_path):
    path = tmp_path / "image.png"
    data = png((40, 30))
    empty = struct.pack(">I4sI", 0, b"tEXt", zlib.crc32(b"tEXt"))
    path.write_bytes(data[:33] + empty * (MAX_PNG_CHUNKS + 1) + data[33:])
    with pytest.raises(SourceError, match="cut short or damaged"):
        read_size(path)


def test_a_png_may_have_bytes_of_others_behind_its_end(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(encode(".png", (40, 30)) + b"an editor's own" * 9000)
    assert read_size(path) == (40, 30)


def with_thumbnail(data: bytes) -> bytes:
    """Return a JPEG with another, whole one in its EXIF segment, as cameras write them."""
    body = b"Exif\0\0" + encode(".jpg", (160, 120))
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


@given(kept_ratio=st.floats(0.01, 0.99))
def test_a_jpeg_that_is_cut_short_is_not_taken_for_whole_by_its_thumbnail(
    tmp_path_factory, kept_ratio
):
    path = tmp_path_factory.mktemp("cut") / "image"
    # Small, so that the thumbnail's end is near the file's.
    data = with_thumbnail(encode(".jpg", (40, 30)))
    path.write_bytes(data)
    assert read_size(path) == (40, 30)
    path.write_bytes(data[: max(8, int(len(data) * kept_ratio))])
    with pytest.raises(SourceError, match="cut short"):
        read_size(path)


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)], ids=["", "progressive"]
)
def test_a_jpeg_may_have_a_film_behind_its_end(tmp_path, options):
    path = tmp_path / "motion.jpg"
    film = b"\0\0\0\x18ftypmp42" + b"\xff\xd8\xff\xda" * 500_000
    path.write_bytes(encode(".jpg", (40, 30), options) + film)
    assert read_size(path) == (40, 30)
    assert load_image(path).shape == (30, 40, 3)


def test_a_jpeg_of_endless_fill_bytes_is_soon_refused(tmp_path):
    path = tmp_path / "image.jpg"
    scan = encode(".jpg", (40, 30))[:-2]
    path.write_bytes(scan + b"\xff" * 3_000_000 + b"\0")
    began_s = time.thread_time()
    with pytest.raises(SourceError, match="cut short"):
        read_size(path)
    assert time.thread_time() - began_s < 2


def test_a_bmp_stored_top_down_has_a_positive_height(tmp_path):
    path = tmp_path / "image.bmp"
    path.write_bytes(bmp((30, -20)))
    assert read_size(path) == (30, 20)


def test_jpeg_segments_and_fill_bytes_before_the_frame_header_are_skipped(tmp_path):
    path = tmp_path / "image.jpg"
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 60_000) + b"\xff\xc0" * 30_000
    path.write_bytes(jpeg((320, 200), before=comment * 3 + b"\xff\xff\xff"))
    assert read_size(path) == (320, 200)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 100, id="zeros"),
        pytest.param(b"RIFF\0\0\0\0WEBPVP8 ", id="webp"),
        pytest.param(b"a text", id="text"),
    ],
)
def test_other_files_are_none_of_its_business(tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)
    assert read_size(path) is None


@given(magic=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"]), rest=st.binary())
def test_any_bytes_give_a_size_or_the_one_error(tmp_path_factory, magic, rest):
    path = tmp_path_factory.mktemp("any") / "image"
    path.write_bytes(magic + rest)
    try:
        width, height = read_size(path)
    except SourceError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert width * height <= MAX_IMAGE_PIXELS


def test_a_file_that_is_not_there_is_an_error_of_the_source(tmp_path):
    with pytest.raises(SourceError, match="none: cannot be read"):
        read_size(tmp_path / "none")
