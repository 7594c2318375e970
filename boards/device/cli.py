"""The verbs of `python -m boards.device`: those of `edge`, the first boot, and what runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from boards.device import bundle, firstboot, releases, requests, updates  # noqa: F401 - self-test
from boards.device.place import read_json
from boards.verbs import add, add_root, place
from edge.terminal.command import add_verb, run


def main(argv: list[str] | None = None) -> int:
    """Run a verb and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="edge", description="What runs as root on a board, also before anything is installed."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add(verbs)
    first = add_verb(
        verbs, "firstboot", "Install the bundle of a card, once.", run=_firstboot,
        examples=["firstboot /boot/firmware/edge"],
    )  # fmt: skip
    first.add_argument("folder", type=Path, help="the bundle's, on the boot partition")
    status = add_verb(
        verbs, "status", "Name the release that runs, and the one before.", run=_status,
        examples=["status"],
    )  # fmt: skip
    for verb in (first, status):
        add_root(verb)
    return run(parser, argv)


def _firstboot(arguments: argparse.Namespace) -> None:
    firstboot.firstboot(place(arguments), arguments.folder.absolute())


def _status(arguments: argparse.Namespace) -> None:
    board = place(arguments)
    for name, link in (("current", board.current), ("previous", board.previous)):
        board.say(f"{name}: {releases.version(board, releases.running(link))}")
    for name, value in read_json(board.state / updates.RESULT).items():
        board.say(f"{name}: {value}")
