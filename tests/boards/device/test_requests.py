"""What the service asks for is fetched, must be signed, and is carried out as root."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from board_bundles import CONFIG, FULL, install_into, sign, tarred, write_bundle

from boards.device import download, requests, updates

if TYPE_CHECKING:
    from boards.device.place import Place

pytestmark = pytest.mark.board


def result(place: Place) -> dict:
    return json.loads((place.state / "update.json").read_text())


def ask(place: Place, **fields: object) -> None:
    path = place.service_state / updates.REQUEST
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields), "utf-8")


def test_a_request_is_carried_out_from_a_signed_bundle_and_taken_away(place, root, tmp_path):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})
    sign(tmp_path, place, new)
    ask(place, file="b.tar", id=7)
    shutil.move(tarred(new), place.service_state / "update/b.tar")

    requests.answer(place)

    assert "# new" in (place.current / "device.toml").read_text()
    assert (result(place)["state"], result(place)["request"]["id"]) == ("done", 7)
    assert "before" not in result(place)["message"]
    assert "already" not in result(place)["message"]
    assert not (place.service_state / updates.REQUEST).exists()


def test_a_request_whose_release_is_not_well_says_that_it_was_taken_back(
    place, root, tmp_path, monkeypatch
):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    old = place.current.resolve()
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})
    sign(tmp_path, place, new)
    ask(place, file="b.tar", id=8)
    shutil.move(tarred(new), place.service_state / "update/b.tar")
    monkeypatch.setattr(updates.system, "restart", lambda _: "no frame came")

    requests.answer(place)

    assert place.current.resolve() == old
    said = result(place)
    assert (said["state"], said["request"]["id"]) == ("rolled back", 8)
    assert said["message"].endswith("no frame came")
    assert not (place.service_state / updates.REQUEST).exists()


@pytest.mark.parametrize("signed_by", ["", "stranger"])
def test_a_request_for_what_nobody_we_know_signed_changes_nothing(place, root, tmp_path, signed_by):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    old = place.current.resolve()
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})
    sign(tmp_path, place)
    if signed_by:
        sign(tmp_path, place, new, key=signed_by)
    ask(place, file="b.tar")
    shutil.move(tarred(new), place.service_state / "update/b.tar")

    requests.answer(place)

    assert place.current.resolve() == old
    assert "expected a signature" in result(place)["message"]
    assert not (place.service_state / updates.REQUEST).exists()


def test_a_request_on_a_board_without_signers_is_refused(place, root, tmp_path):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    ask(place, file="b.tar")
    shutil.move(
        tarred(write_bundle(tmp_path / "b", {"device.toml": CONFIG})),
        place.service_state / "update/b.tar",
    )

    requests.answer(place)

    assert "over the network only signed bundles are taken" in result(place)["message"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "no.tar", 7, None])
def test_a_request_leads_to_no_file_of_another_folder(place, root, tmp_path, name):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    ask(place, file=name)

    requests.answer(place)

    assert "expected a bundle, a .tar, in /var/lib/edge-vision/update" in result(place)["message"]


def test_a_request_that_ends_the_board_again_and_again_is_given_up(
    place, root, tmp_path, monkeypatch
):
    install_into(root, write_bundle(tmp_path / "a", FULL))

    class Cut(BaseException):
        pass

    def cut(*_args, **_more):
        raise Cut

    ask(place, url="http://127.0.0.1/b.tar")
    with monkeypatch.context() as patch:
        patch.setattr(download, "fetched", cut)
        for _ in range(requests.MOST_TRIES):
            with pytest.raises(Cut):
                requests.answer(place)
    requests.answer(place)

    assert "cut 3 times" in result(place)["message"]
    assert not (place.service_state / updates.REQUEST).exists()


def test_a_download_that_is_refused_leaves_nothing(place, root, tmp_path, served):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})
    sign(tmp_path, place)
    served[1].write_bytes(tarred(new).read_bytes())
    ask(place, url=served[0])

    requests.answer(place)

    assert "expected a signature" in result(place)["message"]
    assert not list(place.opt.glob("*.tmp"))


def test_what_fills_the_disk_goes_before_a_request_is_looked_at(place, root, tmp_path, monkeypatch):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    left = place.opt / "download.tmp"
    left.write_bytes(b"half")
    ask(place, url="http://127.0.0.1:9/b.tar")

    def full(*args, **more):
        if left.exists():
            raise OSError(28, "No space left on device")
        report(*args, **more)

    report = updates.report
    monkeypatch.setattr(updates, "report", full)
    requests.answer(place)

    assert "cannot be fetched" in result(place)["message"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "huge", "deep", "folder is a link"])
def test_what_a_service_plants_in_place_of_a_request_is_taken_away(place, root, tmp_path, kind):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    other = tmp_path / "other"
    other.mkdir()
    (other / "request.json").write_text('{"file": "secret"}')
    path = place.service_state / updates.REQUEST
    if kind != "folder is a link":
        path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        (path / "a/b").mkdir(parents=True)
        (path / "a/link").symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(other / "request.json")
    elif kind == "huge":
        path.write_text(f'{{"file": "{"x" * (1 << 20)}"}}')
    elif kind == "deep":
        path.write_text('{"file": ' * 9000)
    else:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.symlink_to(other)

    requests.answer(place)

    assert not os.path.lexists(path)
    assert result(place)["state"] == "failed"
    assert "secret" not in result(place)["message"]
    assert (other / "request.json").exists()


def test_a_folder_that_the_service_names_is_no_bundle(place, root, tmp_path, monkeypatch):
    """It could change what is in it after it was compared, and before pip reads it."""
    install_into(root, write_bundle(tmp_path / "a", FULL))
    ask(place, file="b.tar")
    new = write_bundle(place.service_state / "update/b.tar", FULL)
    sign(tmp_path, place, new)
    monkeypatch.setattr(requests.files, "is_file", lambda _: True)  # as it was a moment ago

    requests.answer(place)

    said = result(place)["message"]
    assert said.startswith("/var/lib/edge-vision/update/b.tar: no regular file")
