"""The `edge` command: one file a verb."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from edge.terminal.command import new_parser, run
from edge.verbs import bench, check, demo, doctor, inspect, prepare, record, watch
from edge.verbs import eval as evaluate
from edge.verbs import run as running

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# In the order of --help.
VERBS = (running, check, doctor, inspect, prepare, record, watch, demo, evaluate, bench)
# Modules of `boards` with an `add` as those above have; named, not imported: the runtime stands
# without that package.
BOARD_VERBS = ("boards.verbs",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    return run(new_command(), argv)


def new_command() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "edge",
        "Run a detector or segmenter on camera frames and publish what it sees.",
        examples=[
            "edge run --source v4l2:/dev/video0 --mqtt mqtt://localhost",
            "edge run /etc/edge/door.toml",
            "edge check /etc/edge/door.toml",
        ],
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    for name in BOARD_VERBS:
        import_module(name).add(verbs)
    return parser
