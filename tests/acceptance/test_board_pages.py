"""Every command and configuration of the pages on boards is one that this version takes."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from boards import cli as boards_cli
from edge import cli
from edge.config import reading

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.board

ROOT = Path(__file__).parents[2]
PAGES = ["docs/raspberry-pi.md", "docs/jetson.md", "boards/SMOKE.md", "docs/boards.md"]
PAGES += ["docs/updates.md", "docs/service.md", "boards/ansible/site.yml", "README.md"]
PARSERS = {"edge": cli.new_command, "edge-board": boards_cli.new_command}
# A command in a block or between backticks; behind ssh and sudo too. What follows a semicolon, a
# comma or a comment is another.
COMMAND = re.compile(r"(?:^|[`\s])((?:edge|edge-board) [a-z]+\b[^`\n;#&|]*)")


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page):
    blocks = re.findall(
        r"^```(?:bash|sh|sh card)\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL
    )
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:sudo )?edge(?:-board)? [a-z]+[^`\n]*)`", text(page))
    lines += re.findall(r"^# +(edge-board .*)$", text(page), re.MULTILINE)
    return list(
        dict.fromkeys(found[1].strip() for line in lines if (found := COMMAND.search(line)))
    )


CASES = [(page, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), CASES, ids=[f"{p}: {c}" for p, c in CASES])
def test_every_command_of_a_page_is_understood(page, command):
    program, *words = shlex.split(command)
    parser = PARSERS[program]()

    if words[1:]:
        parser.parse_args(words)  # or it ends the program, and this test
    else:
        with pytest.raises(SystemExit, match=r"^0$"):  # only named
            parser.parse_args([*words, "--help"])


@pytest.mark.parametrize("page", PAGES[:2])
def test_the_configuration_of_a_page_has_no_fault(page):
    (block,) = re.findall(r"^```toml door.toml\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)

    config = reading.parse(tomllib.loads(block))

    assert config.mqtt is not None
    assert f'name = "{config.device.name}"' in block


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    targets = re.findall(r"\]\(([^)#:]+)\)", text(page))

    missing = [name for name in targets if not (ROOT / page).parent.joinpath(name).exists()]
    assert missing == []
