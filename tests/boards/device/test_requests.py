"""What the service asks for is fetched, must be signed, and is carried out as root."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import tarfile
import threading
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from board_bundles import CONFIG, FULL, install_into, write_bundle

from boards.device import download, requests, updates
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.device.place import Place

pytestmark = pytest.mark.board


def result(place: Place) -> dict:
    return json.loads((place.state / "update.json").read_text())


def tarred(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, arcname=folder.name)
    return path


def ask(place: Place, **fields: object) -> None:
    path = place.service_state / updates.REQUEST
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields), "utf-8")


def sign(tmp_path: Path, place: Place, *bundles_: Path, key: str = "key") -> None:
    """Sign bundles with a key, which the board then trusts."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / key
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(command, check=True)
    for bundle in bundles_:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "edge-vision", "-f", str(path)]
        subprocess.run([*command, str(bundle / "bundle.json")], check=True, capture_output=True)
    if key == "key":
        place.etc.mkdir(parents=True, exist_ok=True)
        text = f"admin {path.with_suffix('.pub').read_text()}"
        (place.etc / "allowed_signers").write_text(text)


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


def test_a_changed_list_voids_its_signature(place, root, tmp_path):
    bundle = write_bundle(tmp_path / "b", FULL)
    sign(tmp_path, place, bundle)
    install_into(root, bundle)
    (bundle / "bundle.json").write_text((bundle / "bundle.json").read_text() + " ")

    with pytest.raises(BoardError, match="found that of nobody there, or of another bundle"):
        install_into(root, bundle)


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
        patch.setattr(download, "fetch", cut)
        for _ in range(requests.MOST_TRIES):
            with pytest.raises(Cut):
                requests.answer(place)
    requests.answer(place)

    assert "cut 3 times" in result(place)["message"]
    assert not (place.service_state / updates.REQUEST).exists()


@pytest.fixture
def served(tmp_path):
    """Serve one file; yield its URL."""
    (tmp_path / "web").mkdir()
    path = tmp_path / "web/b.tar"
    path.write_bytes(b"x" * 3_000_000)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/b.tar", path
        server.shutdown()


def test_a_download_is_whole_and_the_one_that_was_meant(place, root, served):
    url, path = served
    told: list[int] = []
    digest = sha256(path.read_bytes()).hexdigest()

    assert download.fetch(place, url, digest=digest, told=told.append).read_bytes()[:1] == b"x"
    assert told[-1] == 100
    with pytest.raises(BoardError, match="expected the sha256 0000"):
        download.fetch(place, url, digest="0" * 64)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "expected a URL of http or https"),
        ("http://user:secret@127.0.0.1:9/b.tar", "…@127.0.0.1:9/b.tar: the bundle cannot be"),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence_without_a_secret(place, root, url, sentence):
    with pytest.raises(BoardError, match=sentence) as caught:
        download.fetch(place, url)

    assert "secret" not in str(caught.value)


def test_a_download_that_is_too_large_ends(place, root, served, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 1_000_000)

    with pytest.raises(BoardError, match="expected a bundle of up to"):
        download.fetch(place, served[0])


def test_a_tar_that_leads_out_of_its_folder_writes_nothing_there(place, root, tmp_path):
    bundle = write_bundle(tmp_path / "b", FULL)
    archive = tarred(bundle)
    with tarfile.open(archive, "a") as more:
        more.add(bundle / "device.toml", arcname="../../evil")
    (tmp_path / "evil").unlink(missing_ok=True)

    install_into(root, archive)

    assert not list(tmp_path.rglob("evil"))
    assert not (root / "opt/edge/bundle.tmp").exists()


def test_what_is_no_tar_is_a_sentence(place, root, tmp_path):
    (tmp_path / "b.tar").write_text("no tar at all")

    with pytest.raises(BoardError, match="expected a bundle"):
        install_into(root, tmp_path / "b.tar")
