"""The verb `edge update`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import add_verb

if TYPE_CHECKING:
    import argparse


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs, "update", "Update this board; undone if it does not go well.",
        run=run,
        examples=["sudo edge update http://fleet.local/porch.tar", "sudo edge update --rollback"],
    )  # fmt: skip
    add_options(parser)
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="a folder in place of /"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says from where."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "bundle", nargs="?", metavar="BUNDLE|URL", help="a folder, a .tar, or its URL"
    )
    what.add_argument("--rollback", action="store_true", help="run the release before again")
    what.add_argument(
        "--request", action="store_true", help="carry out what was asked for over MQTT"
    )
    parser.add_argument("--sha256", default="", metavar="HEX", help="of the URL's file")


def run(arguments: argparse.Namespace) -> None:
    """Update as the arguments say."""
    from boards.device.__main__ import update  # noqa: PLC0415 - `edge --help` needs none
    from boards.device.files import told  # noqa: PLC0415
    from boards.device.place import Place  # noqa: PLC0415

    with told():
        update(Place(arguments.root.resolve()), arguments)
