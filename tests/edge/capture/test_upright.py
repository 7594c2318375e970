"""One rule for all sources: upright as the file says, and then turned as it was asked."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from edge.capture.files import is_mirrored
from edge.capture.options import SourceOptions
from edge.capture.picture import Scaler
from edge.capture.registry import open_source
from edge.errors import SourceError

pytestmark = pytest.mark.board

# Blue, green, red and white, at the four corners of 96x48 pixels.
COLOURS = {"B": (255, 0, 0), "G": (0, 255, 0), "R": (0, 0, 255), "W": (255, 255, 255)}
WHOLE = 1 << 16
# Of an MP4's track: the matrix (a, b, c, d) that a phone writes when it is held so, and what then
# stands at the corners: above left, above right, below left, below right.
MATRICES = {
    0: ((WHOLE, 0, 0, WHOLE), "BGRW"),
    90: ((0, WHOLE, -WHOLE, 0), "RBWG"),
    180: ((-WHOLE, 0, 0, -WHOLE), "WRGB"),
    270: ((0, -WHOLE, WHOLE, 0), "GWBR"),
}
MIRRORS = [(-WHOLE, 0, 0, WHOLE), (WHOLE, 0, 0, -WHOLE), (0, WHOLE, WHOLE, 0)]
# EXIF: the orientation that a camera writes; what it means is stated by the same corners.
ORIENTATIONS = {1: "BGRW", 2: "GBWR", 3: "WRGB", 6: "RBWG", 8: "GWBR"}


def drawn():
    image = np.zeros((48, 96, 3), np.uint8)
    for number, colour in enumerate(COLOURS.values()):
        row, column = divmod(number, 2)
        image[24 * row : 24 * row + 24, 48 * column : 48 * column + 48] = colour
    return image


def corners(image):
    """Return the colours of the corners, as letters."""
    points = [image[y, x].astype(int) for y in (4, -5) for x in (4, -5)]
    return "".join(
        min(COLOURS, key=lambda name: np.abs(point - COLOURS[name]).sum()) for point in points
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Return what writes a clip whose track has a matrix."""
    folder = tmp_path_factory.mktemp("clips")
    writer = cv2.VideoWriter(
        str(folder / "plain.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 48)
    )
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no MP4")
    for _ in range(3):
        writer.write(drawn())
    writer.release()
    data = (folder / "plain.mp4").read_bytes()

    def written(matrix):
        a, b, c, d = matrix
        at = data.index(b"tkhd") + 44  # version 0
        assert data.count(b"tkhd") == 1
        assert struct.unpack_from(">5i", data, at) == (WHOLE, 0, 0, 0, WHOLE)
        path = folder / f"{a}_{b}_{c}_{d}.mp4"
        changed = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(data[:at] + changed + data[at + len(changed) :])
        return path

    return written


def shown(uri, **options):
    """Return the first frame as a model or a preview of its size sees it."""
    with open_source(uri, SourceOptions(**options)) as source:
        picture = source.read(None)
        image = Scaler("bgr").reduced(picture, max_side_px=1000)
        assert image.shape[1::-1] == picture.size_wh
        return image


@pytest.mark.parametrize("degrees", MATRICES)
def test_a_phones_clip_is_upright(clip, degrees):
    matrix, expected = MATRICES[degrees]
    image = shown(f"file:{clip(matrix)}")
    assert corners(image) == expected
    assert image.shape[:2] == ((96, 48) if degrees in (90, 270) else (48, 96))


@pytest.mark.parametrize("rotate", [90, 180, 270])
@pytest.mark.parametrize("degrees", MATRICES)
def test_what_is_asked_for_comes_on_top(clip, degrees, rotate):
    image = shown(f"file:{clip(MATRICES[degrees][0])}", rotate=rotate)
    assert corners(image) == MATRICES[(degrees + rotate) % 360][1]


@pytest.mark.parametrize("matrix", MIRRORS, ids=["hflip", "vflip", "transpose"])
def test_a_clip_that_is_to_be_mirrored_is_refused_and_not_shown_upside_down(clip, matrix):
    with pytest.raises(SourceError, match=r"to be shown mirrored; write it so: ffmpeg -i "):
        shown(f"file:{clip(matrix)}")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_image_is_upright_by_its_exif(tmp_path, orientation):
    _, data = cv2.imencode(".jpg", drawn(), [cv2.IMWRITE_JPEG_QUALITY, 95])
    # TIFF, little-endian: one entry, tag 0x0112, of one SHORT.
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2].tobytes() + segment + data[2:].tobytes())
    assert corners(shown(f"file:{path}")) == ORIENTATIONS[orientation]
    (tmp_path / "folder").mkdir()
    path.rename(tmp_path / "folder" / "photo.jpg")
    turned = shown(f"images:{tmp_path}/folder", rotate=180)
    assert corners(turned) == ORIENTATIONS[orientation][::-1]


def test_the_drawn_scene_and_sizes_follow():
    straight = shown("demo:", size_wh=(64, 48), realtime=False)
    turned = shown("demo:", size_wh=(64, 48), realtime=False, rotate=270)
    np.testing.assert_array_equal(turned, np.rot90(straight))


def test_a_mirror_is_found_in_a_movie_of_any_length_and_a_torn_track_is_none(tmp_path):
    path = tmp_path / "clip.mp4"
    track = b"tkhd" + bytes(40) + struct.pack(">9i", -WHOLE, 0, 0, 0, WHOLE, 0, 0, 0, 1 << 30)
    for movie, expected in ((track, True), (b"tkhd", False)):
        path.write_bytes(struct.pack(">I4sQ", 1, b"moov", 16 + len(movie)) + movie)
        assert is_mirrored(path) is expected
