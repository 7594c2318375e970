"""What a service asks to be updated to, and what it tells of the release that it is."""

from __future__ import annotations

import hashlib
import json
import tarfile
from types import SimpleNamespace

import pytest

from edge.commands import Update
from edge.errors import ConfigError
from edge.service.release import Release, installed

pytestmark = pytest.mark.board

LIST = json.dumps({"version": "0.2.0"})


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A board in a folder: its release, where root tells, and where the service asks."""
    place = tmp_path / "opt/edge/releases/60eb48eba1ed"
    place.mkdir(parents=True)
    (place / "bundle.json").write_text('{"version": "0.1.0"}')
    (place / "device.toml").write_text("")
    (tmp_path / "opt/edge/current").symlink_to("releases/60eb48eba1ed")
    told = tmp_path / "var/lib/edge-install"
    told.mkdir(parents=True)
    state = tmp_path / "state"
    (state / "update").mkdir(parents=True)
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    folder = installed(tmp_path / "opt/edge/current/device.toml")
    return SimpleNamespace(release=Release(folder), told=told, asked=state / "update")


def tell(board, **fields: object) -> None:
    (board.told / "update.json").write_text(json.dumps(fields))


def states(board) -> list[dict]:
    return [json.loads(each.payload) for each in board.release.news("door")]


def copy_bundle(board, name: str = "porch.tar") -> str:
    (board.asked.parent / "bundle.json").write_text(LIST)
    with tarfile.open(board.asked / name, "w") as archive:
        archive.add(board.asked.parent / "bundle.json", arcname="porch/bundle.json")
    return hashlib.sha256(LIST.encode()).hexdigest()[:12]


def test_a_configuration_of_no_release_is_none(tmp_path):
    assert installed(tmp_path / "device.toml") is None
    assert installed(None) is None


def test_it_tells_what_runs_and_again_only_when_that_changes(board):
    (first,) = states(board)

    assert first["installed_version"] == first["latest_version"] == "0.1.0 (60eb48eba1ed)"
    assert not first["in_progress"]
    assert states(board) == []
    tell(board, state="working", message="downloads", percent=40)
    (second,) = states(board)
    assert (second["in_progress"], second["update_percentage"]) == (True, 40)


def test_who_asked_is_answered_when_it_is_over(board):
    request = {"id": 7}
    tell(board, state="watching", message="on probation", request=request)
    states(board)
    tell(board, state="rolled back", message="no camera gave a frame", request=request)

    state, reply = board.release.news("door")

    assert (state.topic, state.retain) == ("edge/door/install", True)
    assert (reply.topic, reply.retain) == ("edge/door/reply/update", False)
    said = json.loads(reply.payload)
    assert (said["id"], said["ok"]) == (7, False)
    assert said["message"] == "no camera gave a frame"


def test_a_damaged_file_of_the_update_is_as_none(board):
    (board.told / "update.json").write_text("{")

    assert states(board)[0]["state"] is None


def test_a_bundle_that_was_copied_is_offered_and_asked_for_by_no_name(board):
    version = copy_bundle(board)

    assert states(board)[0]["latest_version"] == f"0.2.0 ({version})"
    board.release.request(Update(id=3))
    asked = json.loads((board.asked / "request.json").read_text())
    assert asked == {"id": 3, "url": None, "file": "porch.tar", "sha256": None}


def test_a_url_goes_before_what_was_copied(board):
    copy_bundle(board)

    board.release.request(Update(url="http://a/b.tar", sha256="0" * 64))

    asked = json.loads((board.asked / "request.json").read_text())
    assert (asked["url"], asked["file"]) == ("http://a/b.tar", None)


def test_two_requests_at_once_are_one_and_a_sentence(board):
    board.release.request(Update(url="http://a/b.tar"))

    with pytest.raises(ConfigError, match="an update is at work already"):
        board.release.request(Update(url="http://a/c.tar"))


def test_with_nothing_to_update_to_it_says_so(board):
    (board.asked / "broken.tar").write_text("no tar")

    with pytest.raises(ConfigError, match="expected url or file, or a newer bundle"):
        board.release.request(Update())
