"""What a worn card, a full one, or a stranger's file does not get to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_bundles import CONFIG, FULL, fetch, install_into, write_bundle

from boards.device import bundle as bundles
from boards.device import firstboot, install
from edge.errors import BoardError

pytestmark = pytest.mark.board


def test_a_first_boot_is_over_where_its_report_cannot_be_written(place, tmp_path):
    folder = write_bundle(tmp_path / "boot/edge", FULL)
    (tmp_path / "boot" / firstboot.REPORT).mkdir()

    firstboot.firstboot(place, folder)

    assert (place.state / firstboot.DONE).exists()


def test_a_first_boot_reports_a_full_disk(place, tmp_path, monkeypatch):
    folder = write_bundle(tmp_path / "boot/edge", FULL)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(install, "install", full)
    with pytest.raises(BoardError, match="the disk is full"):
        firstboot.firstboot(place, folder)

    assert "failed" in (tmp_path / "boot" / firstboot.REPORT).read_text()


def test_a_wheel_that_is_not_in_the_list_is_refused(place, tmp_path):
    folder = write_bundle(tmp_path / "bundle", FULL)
    (folder / "wheels/numpy-99.0-py3-none-any.whl").write_text("another")

    with pytest.raises(BoardError, match=r"numpy-99\.0.*expected only wheels of the list"):
        install_into(place.root, folder)


def test_a_password_in_a_url_that_does_not_parse_is_not_repeated(place):
    with pytest.raises(BoardError) as told:
        fetch(place, "http://user:secret@127.0.0.1/bundle.tar")

    assert "secret" not in str(told.value)


def test_a_refused_bundle_leaves_no_environment(place, tmp_path, programs):
    install_into(place.root, write_bundle(tmp_path / "first", FULL))
    programs.answers["edge check"] = "no"

    with pytest.raises(BoardError):
        install_into(place.root, write_bundle(tmp_path / "second", FULL | {"wheels/z.whl": "z"}))

    assert len(list((place.opt / "venvs").iterdir())) == 1


def test_a_release_that_cannot_be_read_now_is_not_deleted(place, tmp_path, monkeypatch):
    install_into(place.root, write_bundle(tmp_path / "first", FULL))
    running, read_text = place.current.resolve(), Path.read_text

    def worn(path, *args, **kwargs):
        if path == running / ".complete":
            raise OSError(5, "Input/output error")
        return read_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", worn)
    with pytest.raises((BoardError, OSError)):
        install_into(place.root, write_bundle(tmp_path / "second", {"device.toml": CONFIG + "#"}))

    assert (running / "device.toml").exists()


def test_a_path_that_is_no_text_is_refused(tmp_path):
    fields = {"version": "1", "profile": "x", "machine": "any", "python": [], "schema_version": 1}
    fields["files"] = [{"path": 5, "bytes": 1, "sha256": "0" * 64}]

    with pytest.raises(BoardError, match="5 is not as a bundle has it"):
        bundles.parse(tmp_path, json.dumps(fields).encode())
