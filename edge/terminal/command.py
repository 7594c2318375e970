"""What the four commands share: verbs, errors as sentences, exit statuses.

Results go to stdout, logs to stderr. Exit status 0 is done, 1 failed, 2 misused.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, EdgeError
from edge.terminal.completion import SHELLS, script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE, FAILED, MISUSED = 0, 1, 2


def new_parser(prog: str, description: str, *, epilog: str = "") -> argparse.ArgumentParser:
    """Return a command's parser; its verbs are added to what `add_subparsers` returns."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--completion",
        action=_Completion,
        choices=tuple(SHELLS),
        help=f"print a script for this shell: source <({prog} --completion bash)",
    )
    return parser


class _Completion(argparse.Action):
    """Prints the script and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, value: Any, *__: object) -> None:  # noqa: ANN401
        """Print it."""
        sys.stdout.write(script(parser, value))
        parser.exit()


def add_verb(
    verbs: Any,  # noqa: ANN401 - argparse keeps the type of its sub-parsers to itself
    name: str,
    text: str,
    *,
    run: Callable[[argparse.Namespace], int | None],
) -> argparse.ArgumentParser:
    """Add one verb, its help, and what runs it: that returns the exit status, `None` for done."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.add_argument("--debug", action="store_true", help="show tracebacks and debug messages")
    parser.set_defaults(verb=run)
    return parser


def run(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, log_level: int = logging.INFO
) -> int:
    """Parse the arguments, run their verb, and return the exit status."""
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else log_level,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        return int(arguments.verb(arguments) or DONE)
    except EdgeError as error:
        if arguments.debug:
            raise
        for line in str(error).splitlines():
            sys.stderr.write(f"{parser.prog}: {line}\n")
        return MISUSED if isinstance(error, ConfigError) else FAILED
    except BrokenPipeError:
        # Whoever read stdout has gone, as in `edge inspect | head`: nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return FAILED


def positive(text: str) -> int:
    """Return an argument that must be a whole number from 1; for argparse's `type`."""
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return value
