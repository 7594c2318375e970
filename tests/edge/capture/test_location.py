import os
import threading
from pathlib import Path

import pytest

from edge.capture.location import anchored, find
from edge.errors import SourceError

pytestmark = pytest.mark.board


@pytest.mark.parametrize("scheme", ["file", "images"])
def test_a_folder_is_found_by_path_and_by_url(tmp_path, scheme):
    folder = tmp_path / "with space"
    folder.mkdir()
    assert find(scheme, str(folder)) == folder
    assert find(scheme, f"//{folder}".replace(" ", "%20")) == folder
    assert find(scheme, f"//localhost{folder}".replace(" ", "%20")) == folder


@pytest.mark.parametrize(
    ("scheme", "location", "message"),
    [
        ("images", "", "needs a path after its colon; write images:PATH"),
        ("images", "//host/a", "names the host 'host'"),
        ("file", "no/such.mp4", "expected a video, an image or a folder of images, found nothing"),
        ("file", "x" * 300, "cannot be read"),
        ("file", "a\0b", "cannot be read"),
        ("file", "//[x/a", "expected a URL such as file:///folder/name"),
        ("file", "//me:pw@host/a", "file://host names the host 'host'"),
        ("file", "rtsp://me:pw@host/a", "found the URL of a rtsp stream"),
        ("file", "/dev/null", "found a pipe or a device.*write v4l2: for a camera"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(scheme, location, message):
    with pytest.raises(SourceError, match=message) as caught:
        find(scheme, location)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["file", "images"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, scheme):
    os.mkfifo(tmp_path / "pipe")
    faults = []

    def look():
        try:
            find(scheme, str(tmp_path / "pipe"))
        except SourceError as error:
            faults.append(str(error))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert "found a pipe or a device; copy it to a file first" in faults[0]


def test_a_home_is_found_and_one_of_nobody_is_a_name(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("file", "~/a") == tmp_path / "a"
    with pytest.raises(SourceError, match="~nobody-here/a: expected a video"):
        find("file", "~nobody-here/a")


def test_a_url_may_hold_bytes_that_are_no_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    path.touch()
    assert find("file", f"//{tmp_path}/%FF") == path


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:clip.mp4", "file:/etc/edge/clip.mp4"),
        ("images:../photos", "images:/etc/edge/../photos"),
        ("file:a b%20c.mp4", "file:/etc/edge/a b%20c.mp4"),
        ("file:/data/clip.mp4", "file:/data/clip.mp4"),
        ("file:///data/a%20b", "file:///data/a%20b"),
        ("file:~/clip.mp4", "file:/at-home/clip.mp4"),
        ("file:~nobody-here/clip.mp4", "file:/etc/edge/~nobody-here/clip.mp4"),
        ("file:", "file:"),
        ("demo:", "demo:"),
        ("v4l2:0", "v4l2:0"),
        ("rtsp://cam/1", "rtsp://cam/1"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_a_relative_path_is_that_of_the_folder(uri, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/at-home")
    assert anchored(uri, Path("/etc/edge")) == expected
