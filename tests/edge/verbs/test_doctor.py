"""`edge doctor` of systems in folders: what it prints, and with which status."""

from __future__ import annotations

import json

import pytest

from edge import cli
from edge.sensors import THROTTLED_FILE

pytestmark = pytest.mark.board


@pytest.fixture
def root(tmp_path):
    """Return the root of a system whose power supply is too weak now."""
    path = tmp_path / "root" / THROTTLED_FILE
    path.parent.mkdir(parents=True)
    path.write_text("50005\n")
    return tmp_path / "root"


def test_what_is_wrong_makes_the_status_1_and_is_told_with_what_mends_it(root, capsys):
    assert cli.main(["doctor", "--root", str(root)]) == 1

    lines = capsys.readouterr().out.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("wrong   power"))
    assert "under-voltage now" in lines[at]
    assert "frames drop" in lines[at + 1]
    assert lines[at + 2].strip().startswith("mend: ")
    assert not any("\033" in line for line in lines)
    assert len(lines) <= 24


def test_a_warning_leaves_the_status_at_0(root, capsys):
    (root / THROTTLED_FILE).write_text("50000\n")

    assert cli.main(["doctor", "--root", str(root)]) == 0
    assert "warning power" in capsys.readouterr().out


def test_json_has_every_check_with_its_state_and_why(root, capsys):
    assert cli.main(["doctor", "--root", str(root), "--json"]) == 1

    checks = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["power"]["state"] == "wrong"
    assert all({"check", "state", "found", "why", "mend"} == row.keys() for row in checks.values())
    assert checks["throttling"]["state"] == "warning"


def test_the_release_s_own_configuration_is_read_through_its_links(root, capsys):
    release = root / "opt/edge/releases/0123456789ab"
    release.mkdir(parents=True)
    (release / "device.toml").write_text("[camera]\nsuorce = 'demo:'\n")
    (root / "opt/edge/current").symlink_to("releases/0123456789ab")

    assert cli.main(["doctor", "--root", str(root)]) == 1
    assert "wrong   configuration    " in (said := capsys.readouterr().out)
    assert "suorce" in said


def test_a_root_that_is_none_is_misuse(tmp_path, capsys):
    assert cli.main(["doctor", "--root", str(tmp_path / "gone")]) == 2
    assert "expected the root folder" in capsys.readouterr().err


def test_a_configuration_that_is_not_there_is_wrong(root, capsys):
    (root / THROTTLED_FILE).write_text("0\n")

    assert cli.main(["doctor", str(root / "gone.toml"), "--root", str(root)]) == 1
    assert "gone.toml" in capsys.readouterr().out
