"""What a worn card, a full one, or a stranger's file does not get to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_bundles import CONFIG, FULL, fetch, install_into, write_bundle

from boards import profile
from boards.device import bundle as bundles
from boards.device import environments, firstboot, install
from edge.errors import BoardError

pytestmark = pytest.mark.board


def test_a_first_boot_is_over_where_its_report_cannot_be_written(place, tmp_path):
    folder = write_bundle(tmp_path / "boot/edge", FULL)
    (tmp_path / "boot" / firstboot.REPORT).mkdir()

    firstboot.firstboot(place, folder)

    assert (place.state / firstboot.FIRSTBOOT_DONE).exists()


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
    fields["created_utc"] = ""
    fields["files"] = [{"path": 5, "bytes": 1, "sha256": "0" * 64}]

    with pytest.raises(BoardError, match="5 is not as a bundle has it"):
        bundles.parse(tmp_path, json.dumps(fields).encode())


def test_an_older_bundle_is_no_update_unless_that_is_asked_for(place, tmp_path):
    """Whoever kept a bundle that was signed a year ago could bring its faults back."""
    install_into(place.root, write_bundle(tmp_path / "new", FULL))
    old = write_bundle(
        tmp_path / "old",
        FULL | {"device.toml": CONFIG + "# old"},
        created_utc="2025-01-01T00:00:00Z",
    )

    with pytest.raises(
        BoardError, match=r"newer than what runs, of 2026-11-26.*, found one of 2025"
    ):
        install_into(place.root, old)

    assert "# old" not in (place.current / "device.toml").read_text()
    install_into(place.root, old, install.Given(allow_older=True))
    assert "# old" in (place.current / "device.toml").read_text()


def test_a_bundle_without_wheels_is_held_to_the_machine(place, tmp_path):
    install_into(place.root, write_bundle(tmp_path / "first", FULL))

    with pytest.raises(BoardError, match=r"for armv7l .*, this machine is"):
        install_into(
            place.root, write_bundle(tmp_path / "m", {"model/a.hef": "m"}, machine="armv7l")
        )


@pytest.mark.parametrize("purge", [False, True])
def test_what_was_uninstalled_is_not_installed_by_its_card_again(place, tmp_path, purge):
    """A card of cloud-init copies the unit at each boot, unless the first boot is over."""
    unit = place.root / "etc/systemd/system/edge-firstboot.service"
    wanted = unit.parent / "multi-user.target.wants" / unit.name
    wanted.parent.mkdir(parents=True)
    unit.write_text("[Service]\n")
    wanted.symlink_to(f"../{unit.name}")
    firstboot.firstboot(place, write_bundle(tmp_path / "boot/edge", FULL))

    install.uninstall(place, purge=purge)

    assert (place.state / "firstboot.done").exists()
    assert not unit.exists()
    assert not wanted.is_symlink()
    assert not purge or [path.name for path in place.state.iterdir()] == ["firstboot.done"]


def test_profiles_tell_a_board_without_a_reader_of_toml():
    loaded = {each.name: each for each in profile.load_all()}

    for found in install._known():
        whole = loaded.pop(found.name)
        own = (tuple(found.compatible), tuple(found.soc), found.match, found.machine)
        assert own == (whole.compatible, whole.soc, whole.match, whole.machine)

    assert not loaded


def test_an_install_of_ones_own_packages_again_changes_nothing(place, tmp_path, monkeypatch):
    """Its bundle is made on the spot, so is a moment younger each time."""
    monkeypatch.setattr(environments, "from_installed", lambda _: "0123456789ab")
    light = {name: text for name, text in FULL.items() if not name.startswith("wheels/")}
    given = install.Given(is_own=True)
    install_into(place.root, write_bundle(tmp_path / "a", light), given)
    before = place.current.resolve()

    again = write_bundle(tmp_path / "b", light, created_utc="2026-11-26T00:00:01Z")
    said = install_into(place.root, again, given)

    assert place.current.resolve() == before
    assert any("is installed already" in line for line in said)
