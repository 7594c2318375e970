"""An environment is what pip has put beside the program that installs, for a Python that stays."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest
from board_bundles import CONFIG, FULL, install_into, write_bundle

from boards.device import environments, system
from boards.device.place import Place
from edge.errors import BoardError

pytestmark = pytest.mark.board


@pytest.fixture
def installed(tmp_path, programs, monkeypatch):
    """Return a folder of packages as pip leaves it, which the running Python has."""
    site = tmp_path / "pip/lib/python3/site-packages"
    record = "edge_vision-0.1.0.dist-info/RECORD"
    for name, text in {"edge/__init__.py": "", record: "edge/__init__.py,sha256=1,0"}.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(site))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "pip"))
    return site


def test_what_pip_has_installed_is_copied_with_both_of_its_commands(place, installed):
    made = place.opt / "venvs" / environments.from_installed(place)

    assert list(made.glob("lib/python3.*/site-packages/edge/__init__.py"))
    for name, module in (("edge", "edge"), ("edge-board", "boards")):
        assert (made / "bin" / name).stat().st_mode & 0o111
        assert f"from {module}.__main__ import main" in (made / "bin" / name).read_text()


def test_a_package_that_changed_under_its_version_makes_another_environment(place, installed):
    before = environments.from_installed(place)
    assert environments.from_installed(place) == before

    record = installed / "edge_vision-0.1.0.dist-info/RECORD"
    record.write_text("edge/__init__.py,sha256=2,0", encoding="utf-8")

    assert environments.from_installed(place) != before


def test_a_python_that_the_service_may_not_see_is_refused(installed, monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", f"{environments.HIDDEN[0]}/me/python")
    board = Place(Path("/"), lambda _: None)

    with pytest.raises(BoardError, match=r"hides /home from the service.*/usr/bin/python3 -m venv"):
        environments.from_installed(board)


def test_an_environment_that_has_lost_files_is_made_anew_and_started(tmp_path, root, monkeypatch):
    bundle = write_bundle(tmp_path / "a", FULL)
    install_into(root, bundle)
    release = (root / "opt/edge/current").resolve()
    [lost, *_] = (release / "venv").resolve().glob("lib/*/__init__.py")
    lost.unlink()
    started: list[object] = []
    monkeypatch.setattr(system, "restart", lambda place: started.append(place) or "")

    with pytest.raises(BoardError, match="the bundle has no wheels, and there is no environment"):
        install_into(root, write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"}))
    assert lost.parent.parent.is_dir()  # what still runs by it is not taken from it

    install_into(root, bundle)

    assert lost.is_file()
    assert (root / "opt/edge/current").resolve() == release
    assert len(started) == 1


def test_an_environment_that_has_lost_files_does_not_delete_itself(tmp_path, root, monkeypatch):
    bundle = write_bundle(tmp_path / "a", FULL)
    install_into(root, bundle)
    own = (root / "opt/edge/current/venv").resolve()
    next(own.glob("lib/*/__init__.py")).unlink()
    monkeypatch.setattr(sys, "prefix", str(own))

    with pytest.raises(BoardError, match=r"found files missing; .* sudo \./install\.sh"):
        install_into(root, bundle)

    assert (own / "bin/python").exists()
