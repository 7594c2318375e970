"""Shells complete what the commands really have."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess

import pytest

from edge.terminal.command import DONE, add_verb, new_parser
from edge.terminal.completion import SHELLS, script

pytestmark = pytest.mark.board


@pytest.fixture
def parser():
    parser = new_parser("edge-try", "Try.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    run = add_verb(verbs, "run", "Run it.", run=lambda _: None)
    run.add_argument("model")
    run.add_argument("--family", choices=("ssd", "yolo"))
    run.add_argument("-o", "--output")
    run.add_argument("--fast", action="store_true")
    add_verb(verbs, "rest", "Rest.", run=lambda _: None)
    return parser


def completed(parser, *words):
    """Return what bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in ("edge-try", *words))
    program = (
        f"{script(parser, 'bash')}COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        '_edge_try; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-uc", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("",), ["run", "rest", "--help"]),
        (("re",), ["rest"]),
        (("run", "--f"), ["--family", "--fast"]),
        (("run", "--family", ""), ["ssd", "yolo"]),
        (("run", "--family", "y"), ["yolo"]),
        (("run", "--output", ""), []),
        (("run", "my"), []),
        (("rest", "--f"), []),
        (("nothing", "--f"), []),
    ],
    ids=" ".join,
)
def test_bash_offers_verbs_options_and_choices_and_leaves_files_to_itself(parser, words, offered):
    assert completed(parser, *words) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_is_told_every_verb_option_and_choice(parser, shell):
    words = set(re.findall(r"[\w-]+", script(parser, shell)))

    assert {"run", "rest", "ssd", "yolo"} <= words
    assert {name.lstrip("-") for name in words} >= {"family", "output", "o", "fast", "debug"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_is_there_reads_its_script(parser, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(parser, shell))
    subprocess.run([shell, "-n", str(path)], check=True)


@pytest.mark.parametrize("module", ["edge.cli", "calibration.cli", "boards.cli"])
def test_the_commands_print_their_own(module, capsys):
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(module).main(["--completion", "bash"])

    assert caught.value.code == DONE
    assert "complete -o default -F _edge" in capsys.readouterr().out
