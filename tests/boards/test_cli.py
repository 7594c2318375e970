"""`edge-board`: its verbs, rows for people, JSON for machines, one sentence for a mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boards import profile as profiles
from boards.cli import main
from edge.record import read

pytestmark = pytest.mark.board

TREES = Path(__file__).parent / "trees"


def test_list_prints_a_line_for_each_board(capsys):
    assert main(["list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(profiles.names())
    assert "jetson-nano  NVIDIA Jetson Nano (not supported)" in lines


def test_show_prints_the_profile(capsys):
    assert main(["show", "jetson-nano"]) == 0

    shown = capsys.readouterr().out
    assert "cores        4\nCPU          Cortex-A57\n" in shown
    assert "unsupported  JetPack 4 ends at Python 3.6" in shown


def test_detect_says_what_and_why(capsys):
    assert main(["detect", "--root", str(TREES / "pi5")]) == 0

    shown = capsys.readouterr().out
    assert "board        pi5" in shown
    assert "because      its device tree says raspberrypi,5-model-b" in shown
    assert "threads      3" in shown


def test_detect_warns_of_a_board_that_is_not_supported(capsys):
    assert main(["detect", "--root", str(TREES / "jetson-nano")]) == 0

    assert "unsupported  JetPack 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        pytest.param(["show", "pi5"], "name", "pi5", id="show"),
        pytest.param(["detect", "--root", str(TREES / "pi5")], "board", "pi5", id="detect"),
    ],
)
def test_json_is_for_machines(capsys, arguments, key, value):
    assert main([*arguments, "--json"]) == 0

    assert json.loads(capsys.readouterr().out)[key] == value


def test_list_as_json_has_every_profile_whole(capsys):
    assert main(["list", "--json"]) == 0

    rows = json.loads(capsys.readouterr().out)
    assert [read(profiles.Profile, row) for row in rows] == list(profiles.load_all())


def test_an_unknown_board_is_misuse_in_one_line(capsys):
    assert main(["show", "pi9"]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("edge-board: expected the name of a board profile, found 'pi9'")
    assert len(printed.err.splitlines()) == 1


def test_an_unknown_verb_is_misuse():
    with pytest.raises(SystemExit) as caught:
        main(["burn"])

    assert caught.value.code == 2
