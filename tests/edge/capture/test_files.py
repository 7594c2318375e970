from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from image_files import level, read_all

from edge.capture.files import open_file
from edge.capture.options import SourceOptions
from edge.errors import SourceError

pytestmark = pytest.mark.board

if TYPE_CHECKING:
    from pathlib import Path

EVERY = SourceOptions()
FRAMES = 12
SIZE_WH = (64, 48)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A Motion JPEG of 12 grey frames, each 20 levels lighter, at 50 Hz; OpenCV needs no FFmpeg."""
    path = tmp_path_factory.mktemp("video") / "grey.avi"
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, 50.0, SIZE_WH)
    for index in range(FRAMES):
        writer.write(np.full((SIZE_WH[1], SIZE_WH[0], 3), 20 * index, np.uint8))
    writer.release()
    return path


def test_a_video_gives_each_of_its_frames_in_order_and_then_none(video):
    source = open_file(str(video), EVERY)
    assert not source.live
    assert [level(image) for image in read_all(source)] == list(range(FRAMES))
    assert source.read(None) is None


def test_a_video_is_decoded_into_a_buffer_that_fits(video):
    fitting = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    other = np.zeros((5, 5, 3), np.uint8)
    with open_file(str(video), EVERY) as source:
        source.read(None)
        assert source.read(fitting).pixels is fitting
        assert level(fitting) == 1
        assert level(source.read(other).pixels) == 2
        assert not other.any()


def test_a_looping_video_starts_again(video):
    source = open_file(str(video), SourceOptions(loop=True))
    levels = [level(image) for image in read_all(source, limit=3 * FRAMES)]
    assert levels == list(range(FRAMES)) * 3


def test_a_video_in_real_time_is_live_and_paced_by_its_own_rate(video):
    began_s = time.monotonic()
    source = open_file(str(video), SourceOptions(realtime=True))
    assert source.live
    assert len(read_all(source)) == FRAMES
    assert time.monotonic() - began_s >= (FRAMES - 1) / 50


def test_a_video_that_is_read_as_fast_as_it_goes_has_its_own_clock(video):
    with open_file(str(video), SourceOptions(loop=True)) as source:
        clock_ns = [source.read(None).source_ns for _ in range(2 * FRAMES)]
    assert np.diff(clock_ns).tolist() == [10**9 // 50] * (2 * FRAMES - 1)
    with open_file(str(video), SourceOptions(realtime=True)) as source:
        picture = source.read(None)
    assert picture.source_ns == picture.captured_ns


def test_a_rate_that_is_given_goes_before_the_files(video):
    options = SourceOptions(realtime=True, rate_hz=0.01)
    with open_file(str(video), options) as source:
        source.read(None)
        source.interrupt()
        assert source.read(None) is None


def test_a_folder_gives_its_images_by_name_and_passes_over_the_rest(folder):
    source = open_file(str(folder), EVERY)
    assert [level(image) for image in read_all(source)] == [0, 1, 2]


def test_an_image_is_known_by_its_content_not_its_suffix(folder):
    path = folder / "video.mp4"
    (folder / "a.jpg").rename(path)
    assert len(read_all(open_file(str(path), EVERY))) == 1


def test_an_image_is_copied_into_a_buffer_that_fits(folder):
    buffer = np.full((6, 8, 3), 255, np.uint8)
    with open_file(str(folder / "a.jpg"), EVERY) as source:
        assert source.read(buffer).pixels is buffer
    assert level(buffer) == 0


def test_a_file_url_means_its_path(folder):
    (folder / "with space.png").write_bytes((folder / "c.png").read_bytes())
    path = str(folder / "with space.png").replace(" ", "%20")
    assert len(read_all(open_file(f"//{path}", EVERY))) == 1
    assert len(read_all(open_file(f"//localhost{path}", EVERY))) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("missing.mp4", None, "found nothing; check the path", id="missing"),
        pytest.param("junk.mp4", b"junk " * 999, "expected a video or an image", id="not a video"),
        pytest.param("empty.mp4", b"", "expected a video or an image", id="empty file"),
        pytest.param("cut.png", b"\x89PNG\r\n\x1a\n\0", "cut short", id="cut image"),
    ],
)
def test_a_file_that_is_no_source_is_refused_in_one_sentence(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_file(str(path), EVERY)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_video_without_a_frame_is_an_error_not_an_end(video, tmp_path):
    path = tmp_path / "headers.avi"
    data = bytearray(video.read_bytes())
    first = data.index(b"00dc")
    data[first:] = b"\0" * (len(data) - first)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"headers\.avi: expected a video"):
        read_all(open_file(str(path), SourceOptions(loop=True)))


def test_a_video_that_is_cut_short_gives_the_frames_it_has(video, tmp_path):
    path = tmp_path / "cut.avi"
    data = video.read_bytes()
    path.write_bytes(data[: data.index(b"idx1") // 2 + 2000])
    levels = [level(image) for image in read_all(open_file(str(path), EVERY))]
    assert 0 < len(levels) < FRAMES
    assert levels == list(range(len(levels)))


@pytest.mark.parametrize(
    ("location", "options", "message"),
    [
        pytest.param("", {}, "needs a path after its colon; write file:PATH", id="no path"),
        pytest.param("//host/a.mp4", {}, "names the host 'host'", id="another host"),
        pytest.param("rtsp://me:pw@host/x", {}, "reads files of this machine", id="a stream"),
    ],
)
def test_what_a_file_cannot_do_is_refused(location, options, message):
    with pytest.raises(SourceError, match=message):
        open_file(location, SourceOptions(**options))


def test_closing_twice_does_nothing_and_a_closed_video_has_ended(video):
    source = open_file(str(video), EVERY)
    source.close()
    source.close()
    assert source.read(None) is None


def test_a_bad_file_leaves_nothing_on_stderr_but_the_error(tmp_path, root):
    path = tmp_path / "junk.mp4"
    path.write_bytes(b"junk " * 999)
    program = (
        "import sys\n"
        "from edge.capture.registry import open_source\n"
        "from edge.capture.options import SourceOptions\n"
        "try:\n    open_source(sys.argv[1], SourceOptions())\n"
        "except OSError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, f"file:{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{path}: expected a video or an image")


@pytest.mark.assets
def test_a_real_h264_clip_gives_all_its_frames(assets: Path):
    path = assets / "video" / "one-by-one-person-detection.mp4"
    with open_file(str(path), EVERY) as source:
        buffer = source.read(None).pixels
        assert buffer.shape == (432, 768, 3)
        count = 1
        while source.read(buffer) is not None:
            count += 1
    assert count == 1394
