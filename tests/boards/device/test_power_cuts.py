"""The power is cut before each step of an install, an update and a rollback, one after another.

What is found after each cut is the old state or the new one, never half; and doing it again ends as
it would have without.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from board_bundles import CONFIG, FULL, UNIT, UNIT_PATH, install_into, stand_in, write_bundle
from power_cut import Disk, PowerCutError

from boards.device import files, firstboot, updates
from boards.device.place import Place

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.board

NEW_UNIT = UNIT.replace("true", "false")
NEW = {
    "device.toml": CONFIG + "# new\n",
    "model/door.tflite": "TFL3" * 2000,
    UNIT_PATH: NEW_UNIT,
    "root/etc/udev/rules.d/60-edge.rules": "# rule",
    "wheels/edge_vision-0.2.0-py3-none-any.whl": "own, newer",
    "wheels/numpy-2-py3-none-any.whl": "n",
}
# As an update has both kinds of disk, the others' second is for when there is time.
ONE = [
    pytest.param(True, id="names are lost"),
    pytest.param(False, id="contents are lost", marks=pytest.mark.slow),
]
BOTH = [pytest.param(True, id="names are lost"), pytest.param(False, id="contents are lost")]


class Bench:
    """A board in a folder, whose disk loses its power again and again."""

    def __init__(self, tmp_path: Path, monkeypatch) -> None:
        self.tmp, self.monkeypatch = tmp_path, monkeypatch
        self.programs = stand_in(monkeypatch)
        self.root = tmp_path / "disk/root"
        (tmp_path / "disk/spare").mkdir(parents=True)
        self.root.mkdir()

    def keep(self) -> None:
        shutil.copytree(self.root, self.tmp / "kept", symlinks=True)

    def give_back(self) -> None:
        for folder in (self.root, self.tmp / "disk/spare"):
            shutil.rmtree(folder)
        (self.tmp / "disk/spare").mkdir()
        shutil.copytree(self.tmp / "kept", self.root, symlinks=True)

    def until_cut(self, cut_at, action, *, loses_names) -> bool:
        """Run until the power is cut; return whether it was."""
        disk = Disk(self.tmp / "disk/spare", cut_at, loses_names=loses_names)
        self.programs.made = disk.wrote
        with self.monkeypatch.context() as patch:
            patch.setattr(files, "os", disk)
            try:
                action()
            except PowerCutError:
                disk.cut()
                return True
            finally:
                self.programs.made = lambda _: None
        return False

    def state(self) -> str:
        """Return which release is found, whole, or what is half of it."""
        current = self.root / "opt/edge/current"
        if not current.is_symlink():
            return "none"
        config = (current / "device.toml").read_text()
        unit = (self.root / "etc/systemd/system/edge.service").read_text()
        environment = (current / "venv/lib/edge/__init__.py").read_text()
        python = (current / "venv/bin/python").read_text()
        assert environment == "lib/edge/__init__.py"
        assert python == "bin/python"
        if (config, unit) == (CONFIG, UNIT):
            return "old"
        model = (current / "model/door.tflite").read_text()
        assert (config, unit, model) == (NEW["device.toml"], NEW_UNIT, NEW["model/door.tflite"])
        return "new"

    def each_cut(self, action, *, loses_names, after) -> list[str]:
        """Cut before every step; return the states that were found."""
        self.keep()
        found: list[str] = []
        while self.until_cut(len(found), action, loses_names=loses_names):
            found.append(self.state())
            after()
            self.give_back()
        return found


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize("loses_names", ONE)
def test_a_first_install_that_is_cut_anywhere_is_made_good_by_another(bench, loses_names):
    bundle = write_bundle(bench.tmp / "b", FULL)

    def again() -> None:
        install_into(bench.root, bundle)
        assert bench.state() == "old"
        assert not list((bench.root / "opt").rglob("*.tmp"))

    found = bench.each_cut(
        lambda: install_into(bench.root, bundle), loses_names=loses_names, after=again
    )

    assert len(found) > 60
    assert found == sorted(found)  # none, then the release
    assert {*found} == {"none", "old"}


@pytest.mark.parametrize("loses_names", BOTH)
def test_an_update_that_is_cut_anywhere_leaves_the_old_or_the_new(bench, loses_names):
    install_into(bench.root, write_bundle(bench.tmp / "a", FULL))
    bundle = write_bundle(bench.tmp / "b", NEW)

    def again() -> None:
        updates.resume(Place(bench.root, lambda _: None))
        assert not (bench.root / "var/lib/edge-install/pending.json").exists()
        assert bench.state() in {"old", "new"}
        install_into(bench.root, bundle)
        assert bench.state() == "new"
        assert not list((bench.root / "opt").rglob("*.tmp"))
        assert len(list((bench.root / "opt/edge/releases").iterdir())) == 2

    found = bench.each_cut(
        lambda: install_into(bench.root, bundle), loses_names=loses_names, after=again
    )

    assert len(found) > 60
    assert {*found} == {"old", "new"}
    assert found == sorted(found, reverse=True)  # old, then new, and never back


@pytest.mark.parametrize("loses_names", ONE)
def test_a_rollback_that_is_cut_anywhere_is_ended_at_the_next_boot(bench, loses_names, monkeypatch):
    install_into(bench.root, write_bundle(bench.tmp / "a", FULL))
    bundle = write_bundle(bench.tmp / "b", NEW)
    # Of the new release nothing comes, of the old one all is well.
    monkeypatch.setattr(
        updates.system, "restart", lambda _: "" if bench.state() == "old" else "no frame came"
    )

    def update() -> None:
        with pytest.raises(updates.BoardError, match=r"was taken back, .*: no frame came"):
            install_into(bench.root, bundle)

    def boot() -> None:
        place = Place(bench.root, lambda _: None)
        monkeypatch.setattr(updates, "_start", lambda place, **_: updates.system.restart(place))
        updates.resume(place)
        assert bench.state() == "old"
        assert not (bench.root / "var/lib/edge-install/pending.json").exists()

    found = bench.each_cut(update, loses_names=loses_names, after=boot)

    assert {*found} == {"old", "new"}


def test_a_release_whose_minute_is_cut_twice_is_taken_back(bench, monkeypatch):
    install_into(bench.root, write_bundle(bench.tmp / "a", FULL))

    def cut(_place, **_more):
        raise PowerCutError

    monkeypatch.setattr(updates, "_start", cut)
    with pytest.raises(PowerCutError):
        install_into(bench.root, write_bundle(bench.tmp / "b", NEW))
    place = Place(bench.root, lambda _: None)
    with pytest.raises(PowerCutError):
        updates.resume(place)  # the first boot gives it its minute
    assert bench.state() == "new"

    updates.resume(place)

    assert bench.state() == "old"
    assert "cut twice" in (bench.root / "var/lib/edge-install/update.json").read_text()


@pytest.mark.parametrize("loses_names", BOTH)
def test_a_secret_is_on_the_card_or_on_the_board_wherever_the_power_is_cut(bench, loses_names):
    card = bench.root / "boot/firmware/edge"
    (card / "secrets").mkdir(parents=True)
    (card / "secrets/mqtt").write_text("password")
    place = Place(bench.root, lambda _: None)

    def after() -> None:
        firstboot.move_secrets(place, card)
        assert (place.etc / "secrets/mqtt").read_text() == "password"
        assert not (card / "secrets/mqtt").exists()

    bench.state = lambda: ""
    found = bench.each_cut(
        lambda: firstboot.move_secrets(place, card), loses_names=loses_names, after=after
    )

    assert len(found) > 10
