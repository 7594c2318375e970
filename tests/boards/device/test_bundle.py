"""A bundle is what its list says, whose signature is checked before anything else is unpacked."""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from board_bundles import CONFIG, FULL, install_into, sign, tarred, write_bundle

from boards.device import files
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.board


def test_an_ssh_keygen_that_hangs_is_a_sentence(place, root, tmp_path, monkeypatch):
    bundle = write_bundle(tmp_path / "b", FULL)
    sign(tmp_path, place, bundle)

    def hang(command, **more):
        raise subprocess.TimeoutExpired(command, more["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(BoardError, match="ssh-keygen did not check a signature within 60 s"):
        install_into(root, bundle)


def repacked(bundle: Path, *names: str, header: bytes = b"") -> Path:
    """Return a .tar of these files in this order, behind a header."""
    path = bundle.with_suffix(".tar")
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            archive.add(bundle / name, arcname=name)
    path.write_bytes(header + path.read_bytes())
    return path


def test_nothing_of_a_tar_is_unpacked_before_its_signature_is_checked(
    place, root, tmp_path, monkeypatch
):
    bundle = write_bundle(tmp_path / "b", FULL)
    sign(tmp_path, place)
    written = []
    write_new = files.write_new

    def noted(path, *more):
        written.append(path.name)
        write_new(path, *more)

    monkeypatch.setattr(files, "write_new", noted)
    with pytest.raises(BoardError, match="expected a signature"):
        install_into(root, tarred(bundle))

    assert written == ["bundle.json"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("device.toml", "bundle.json"), "as the first file of the .tar, found device.toml"),
        (("bundle.json", "device.toml", "more"), "more: expected only files of the bundle's list"),
        (("bundle.json", "device.toml", "device.toml"), "device.toml: expected only files"),
        ((), "found none"),
    ],
)
def test_a_tar_holds_what_its_list_says_and_that_first(place, root, tmp_path, names, sentence):
    bundle = write_bundle(tmp_path / "b", {"device.toml": CONFIG, "other": "2"})
    (bundle / "more").write_text("3")

    with pytest.raises(BoardError, match=sentence):
        install_into(root, repacked(bundle, *names))


def test_a_member_is_no_larger_than_its_list_says(place, root, tmp_path):
    bundle = write_bundle(tmp_path / "b", {"device.toml": CONFIG})
    (bundle / "device.toml").write_text(CONFIG * 2)

    with pytest.raises(BoardError, match=r"device\.toml: expected 49 bytes, found 98"):
        install_into(root, tarred(bundle))


def test_a_header_of_gigabytes_is_not_read(place, root, tmp_path):
    """As a name of 3 GiB in front of the list: nobody signed that."""
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 3 << 30
    bundle = write_bundle(tmp_path / "b", {"device.toml": CONFIG})
    path = repacked(bundle, "bundle.json", header=long.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 4 << 30)

    with pytest.raises(BoardError, match="a part of it is too large"):
        install_into(root, path)


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


def test_a_changed_list_voids_its_signature(place, root, tmp_path):
    bundle = write_bundle(tmp_path / "b", FULL)
    sign(tmp_path, place, bundle)
    install_into(root, bundle)
    (bundle / "bundle.json").write_text((bundle / "bundle.json").read_text() + " ")

    with pytest.raises(BoardError, match="found that of nobody there, or of another bundle"):
        install_into(root, bundle)
