import argparse
import importlib
import re
import shutil
import subprocess
from importlib import metadata

import pytest

from edge.errors import ConfigError, ModelError
from edge.terminal.command import (
    DONE,
    FAILED,
    MISUSED,
    SHELLS,
    add_verb,
    new_parser,
    positive,
    run,
)

COMMANDS = ["edge.cli", "boards.cli", "calibration.cli", "converter.cli.command"]
# `edge-convert run` has 36 options.
LINES_OF_HELP = {"edge-convert run": 110, "edge-convert inspect": 50}

pytestmark = pytest.mark.board


def parser_of(verb):
    parser = new_parser("tool", "Does things.")
    verbs = parser.add_subparsers(required=True)
    go = add_verb(verbs, "go", "Go.", run=verb, examples=["tool go --count 3"])
    go.add_argument("--count", type=positive)
    return parser


def raising(error):
    def verb(_):
        raise error

    return verb


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        pytest.param(lambda _: None, DONE, id="nothing to say"),
        pytest.param(lambda _: FAILED, FAILED, id="its own status"),
        pytest.param(raising(ModelError("m: no such file")), FAILED, id="a failure"),
        pytest.param(raising(ConfigError("[camera] x")), MISUSED, id="a wrong configuration"),
    ],
)
def test_a_verb_s_end_is_an_exit_status(verb, status):
    assert run(parser_of(verb), ["go"]) == status


def test_each_line_of_an_error_is_one_line_of_stderr(capsys):
    run(parser_of(raising(ConfigError("first\nsecond"))), ["go"])
    assert capsys.readouterr().err == "tool: first\ntool: second\n"


@pytest.mark.parametrize(("error", "status"), [(ModelError, FAILED), (ConfigError, MISUSED)])
def test_debug_shows_the_traceback_and_changes_no_status(error, status, capsys):
    assert run(parser_of(raising(error("m"))), ["go", "--debug"]) == status
    assert capsys.readouterr().err.startswith("Traceback")


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", ""])
def test_a_count_that_is_no_whole_number_from_1_is_misuse(text, capsys):
    with pytest.raises(SystemExit) as caught:
        run(parser_of(lambda _: None), ["go", f"--count={text}"])
    assert caught.value.code == MISUSED
    assert f"expected a whole number from 1, found {text!r}" in capsys.readouterr().err


def output_of(module, *words, capsys):
    with pytest.raises(SystemExit) as caught:
        importlib.import_module(module).main(words)
    assert caught.value.code == DONE
    return capsys.readouterr().out


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_says_its_version(module, capsys):
    version = metadata.version("edge-vision")

    assert output_of(module, "--version", capsys=capsys) == f"edge-vision {version}\n"


def verbs_of(module):
    parser = importlib.import_module(module).new_command()
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return parser.prog, verbs.choices


@pytest.mark.parametrize("module", COMMANDS)
def test_every_verb_s_help_is_a_screen_that_ends_with_an_example(module):
    prog, verbs = verbs_of(module)

    for name, verb in verbs.items():
        text = verb.format_help()
        assert len(text.splitlines()) <= LINES_OF_HELP.get(f"{prog} {name}", 45), name
        assert re.search(
            rf"^  (sudo )?{prog} {name}", text.partition("\nexample")[2], re.MULTILINE
        ), name


@pytest.mark.parametrize("module", COMMANDS)
def test_an_example_is_a_command_line_that_the_parser_takes(module):
    parser = importlib.import_module(module).new_command()
    prog, verbs = verbs_of(module)
    examples = [
        line.split()[1:]
        for verb in verbs.values()
        for line in verb.epilog.splitlines()
        if line.startswith(f"  {prog}")
    ]

    assert len(examples) >= len(verbs)
    for words in examples:
        assert parser.parse_args(words).verb


def completed(script, *words):
    """Return what bash offers for the last of the words behind `edge`."""
    line = " ".join(f"'{word}'" for word in ("edge", *words))
    program = (
        f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        '_shtab_edge; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("r",), {"run", "record"}),
        (("run", "--so"), {"--source"}),
        (("--completion", ""), set(SHELLS)),
        (("check", "--f"), set()),
        (("run", "--model", "/pro"), {"/proc"}),
        (("inspect", "/pro"), {"/proc"}),
    ],
    ids=" ".join,
)
def test_bash_completes_verbs_options_choices_and_files(words, offered, capsys):
    script = output_of("edge.cli", "--completion", "bash", capsys=capsys)

    assert set(completed(script, *words)) == offered


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("module", COMMANDS)
def test_a_shell_that_is_there_reads_its_script(module, shell, tmp_path, capsys):
    text = output_of(module, "--completion", shell, capsys=capsys)
    _, verbs = verbs_of(module)
    assert all(name in text for name in verbs)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(text)
    subprocess.run([shell, "-n", str(path)], check=True)
