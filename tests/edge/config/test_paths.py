from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from edge.config.paths import anchor_inplace, lookalike, state_folder

pytestmark = pytest.mark.board

FOLDER = Path("/etc/edge")
STATE_NAMES = ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home-of-me")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("my.tflite", "/etc/edge/my.tflite"),
        ("../my.tflite", "/etc/edge/../my.tflite"),
        ("/models/my.tflite", "/models/my.tflite"),
        ("~/my.tflite", "/home-of-me/my.tflite"),
        ("~nobody-of-that-name/my.tflite", "/etc/edge/~nobody-of-that-name/my.tflite"),
        ("a~b.tflite", "/etc/edge/a~b.tflite"),
    ],
)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("model", "file"),
        ("mqtt", "password_file"),
        ("mqtt", "ca_file"),
        ("camera", "password_file"),
    ],
)
def test_every_key_that_is_a_path_counts_from_the_file_or_from_home(section, key, written, path):
    fields = {section: {key: written}}
    anchor_inplace(fields, FOLDER)

    assert fields[section][key] == Path(path)


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ("file:clip.mp4", "file:/etc/edge/clip.mp4"),
        ("images:photos", "images:/etc/edge/photos"),
        ("file:~/clip.mp4", "file:/home-of-me/clip.mp4"),
        ("file:///clips/a%20b.mp4", "file:///clips/a%20b.mp4"),
        ("file:/clips/a%20b.mp4", "file:/clips/a%20b.mp4"),
        ("file:", "file:"),
        ("demo:", "demo:"),
        ("v4l2:/dev/video0", "v4l2:/dev/video0"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: [each]], ids=["one", "a list"])
def test_so_does_a_source_that_is_a_path_but_not_one_that_is_a_url(written, source, wrap):
    camera = {"source": written}
    anchor_inplace({"camera": wrap(camera)}, FOLDER)

    assert camera["source"] == source


def test_what_is_no_text_is_left_for_the_checks():
    fields = {"model": {"file": 3}, "mqtt": "x", "camera": [{"source": 5}, 7]}
    anchor_inplace(fields, FOLDER)

    assert fields == {"model": {"file": 3}, "mqtt": "x", "camera": [{"source": 5}, 7]}


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        pytest.param("Tür.tflite", "Tür.tflite", id="accents"),
        pytest.param("my\u00a0model.tflite", "my model.tflite", id="no-break space"),
        pytest.param("Door.TFLITE", "door.tflite", id="capitals"),
        pytest.param("door.tflite", "door.tflite\u00a0", id="blank at the end"),
    ],
)
def test_a_name_that_only_looks_the_same_is_named(tmp_path, there, wanted):
    if "Tür" in there:
        there, wanted = (unicodedata.normalize(form, there) for form in ("NFD", "NFC"))
    (tmp_path / there).write_text("")

    said = lookalike(tmp_path / wanted)

    assert ascii(there) in said
    assert ascii(wanted) in said
    assert str(tmp_path) in said


def test_so_is_a_folder_above(tmp_path):
    (tmp_path / unicodedata.normalize("NFD", "Küche")).mkdir()

    assert "'Ku\\u0308che'" in lookalike(tmp_path / unicodedata.normalize("NFC", "Küche") / "m")


def test_what_is_there_or_like_nothing_needs_no_word(tmp_path):
    (tmp_path / "a.tflite").write_text("")

    assert lookalike(tmp_path / "a.tflite") == ""
    assert lookalike(tmp_path / "b.tflite") == ""
    assert lookalike(tmp_path / "gone" / "a.tflite") == ""
    assert lookalike(Path("a\0b")) == ""


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/edge"}, "/var/lib/edge", id="systemd"),
        pytest.param({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a", id="several"),
        pytest.param({"XDG_STATE_HOME": "/data", "HOME": "/h"}, "/data/edge-vision", id="XDG"),
        pytest.param(
            {"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/edge-vision",
            id="a relative XDG is ignored",
        ),
        pytest.param({"HOME": "/h"}, "/h/.local/state/edge-vision", id="the user's own"),
    ],
)  # fmt: skip
def test_the_folder_is_that_of_the_environment(monkeypatch, environment, folder):
    for name in STATE_NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert state_folder() == Path(folder)


def test_a_user_without_a_home_has_none(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in STATE_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    assert state_folder() is None
