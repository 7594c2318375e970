"""What the four commands share: verbs, versions, completion, errors as sentences, exit statuses.

Results go to stdout, logs to stderr. Exit status 0 is done, 1 failed, 2 misused.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, EdgeError, SinkError
from edge.terminal import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DONE, FAILED, MISUSED = 0, 1, 2
SHELLS = ("bash", "zsh", "fish")


def new_parser(
    prog: str, description: str, *, examples: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Return a command's parser; its verbs are added to what `add_subparsers` returns."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=_epilog([*examples, f"{prog} VERB --help"]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="show the version and exit")
    parser.add_argument(
        "--completion",
        action=_Completion,
        choices=SHELLS,
        help=f"print a script for this shell: source <({prog} --completion bash)",
    )
    return parser


def _epilog(examples: Sequence[str]) -> str:
    return "\n  ".join(("examples:" if len(examples) > 1 else "example:", *examples))


class _Version(argparse.Action):
    """Prints the version and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        from edge.terminal.version import own_version  # noqa: PLC0415 - 20 ms

        sys.stdout.write(f"{own_version()}\n")
        parser.exit()


class _Completion(argparse.Action):
    """Prints the script and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, value: Any, *__: object) -> None:  # noqa: ANN401
        """Print it."""
        import shtab  # noqa: PLC0415 - 10 ms

        for action in _actions(parser):
            if action.nargs != 0 and action.choices is None:
                action.complete = shtab.FILE  # type: ignore[attr-defined] # how shtab is told
        sys.stdout.write(shtab.complete(parser, shell=value))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and argument of every verb; argparse has no public way to ask for them."""
    for action in parser._actions:  # noqa: SLF001
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for verb in action.choices.values():
                yield from _actions(verb)


def add_verb(
    verbs: Any,  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    name: str,
    text: str,
    *,
    run: Callable[[argparse.Namespace], int | None],
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add one verb, its help, and what runs it.

    Args:
        verbs: Of a parser.
        name: Of the verb.
        text: What it does, a sentence.
        run: Returns the exit status, `None` for done.
        examples: Command lines that work, one or two.
    """
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=text,
        description=text,
        epilog=_epilog(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    parser.set_defaults(verb=run)
    return parser


def run(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, log_level: int = logging.INFO
) -> int:
    """Parse the arguments, run their verb, and return the exit status."""
    arguments = parser.parse_args(argv)
    level = logging.DEBUG if arguments.debug else log_level
    logging.basicConfig(level=level, handlers=[journal.handler()])
    try:
        return int(arguments.verb(arguments) or DONE)
    except EdgeError as error:
        if arguments.debug:
            traceback.print_exc()
        for line in [] if arguments.debug else str(error).splitlines():
            text = f"{parser.prog}: {line}"
            is_read = journal.is_journal()
            sys.stderr.write((journal.prefixed(text, logging.ERROR) if is_read else text) + "\n")
        return MISUSED if isinstance(error, ConfigError) else FAILED


def positive(text: str) -> int:
    """Return an argument that must be a whole number from 1; for argparse's `type`."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return value


def numbers(
    text: str, *, counts: Sequence[int] = (1, 3), above: float = -math.inf
) -> tuple[float, ...]:
    """Return finite numbers with commas between, as many as the last count; for argparse's `type`.

    A single one stands for all.
    """
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        found = ()
    if len(found) not in counts or not all(above < number < math.inf for number in found):
        wanted = " or ".join(map(str, counts)) + " numbers" + f" above {above:g}" * (above == 0)
        raise argparse.ArgumentTypeError(f"expected {wanted} with commas between, found {text!r}")
    return found if len(found) == counts[-1] else found * counts[-1]


def add_descriptions(parser: argparse.ArgumentParser) -> None:
    """Add the option that `descriptions` reads."""
    parser.add_argument(
        "--description", metavar="FILE", action="append", default=[],
        help="a TOML that describes the model; of several models one each, - for the model's own",
    )  # fmt: skip


def descriptions(arguments: argparse.Namespace) -> list[Path | None]:
    """Return what describes each of the `models`, in their order; `None` for the model itself.

    Raises:
        ConfigError: There is no model; or some are described and others are not mentioned.
    """
    models, given = arguments.models, arguments.description
    if given and not models:
        raise ConfigError("--description needs a model: write MODEL.tflite --description FILE")
    if given and len(given) != len(models):
        raise ConfigError(
            f"expected --description FILE once for each of {len(models)} models, found it "
            f"{len(given)} times; write --description - for a model that describes itself"
        )
    return [None if name == "-" else Path(name) for name in given] or [None] * len(models)


def write_text(path: Path, text: str) -> None:
    """Write what a verb was asked to write; bytes of a file's name that are no text become `?`.

    Raises:
        SinkError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}; check the path") from error
