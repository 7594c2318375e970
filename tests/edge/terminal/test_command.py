import pytest

from edge.errors import ConfigError, ModelError
from edge.terminal.command import DONE, FAILED, MISUSED, add_verb, new_parser, positive, run

pytestmark = pytest.mark.board


def parser_of(verb):
    parser = new_parser("tool", "Does things.")
    verbs = parser.add_subparsers(required=True)
    add_verb(verbs, "go", "Go.", run=verb).add_argument("--count", type=positive)
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
        pytest.param(raising(KeyboardInterrupt()), FAILED, id="Ctrl-C"),
    ],
)
def test_a_verb_s_end_is_an_exit_status(verb, status):
    assert run(parser_of(verb), ["go"]) == status


def test_each_line_of_an_error_is_one_line_of_stderr(capsys):
    run(parser_of(raising(ConfigError("first\nsecond"))), ["go"])
    assert capsys.readouterr().err == "tool: first\ntool: second\n"


def test_debug_lets_the_traceback_through():
    with pytest.raises(ModelError):
        run(parser_of(raising(ModelError("m"))), ["go", "--debug"])


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", ""])
def test_a_count_that_is_no_whole_number_from_1_is_misuse(text, capsys):
    with pytest.raises(SystemExit) as caught:
        run(parser_of(lambda _: None), ["go", f"--count={text}"])
    assert caught.value.code == MISUSED
    assert f"expected a whole number from 1, found {text!r}" in capsys.readouterr().err
