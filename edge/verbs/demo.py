"""The verb `edge demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import add_verb, positive

if TYPE_CHECKING:
    import argparse

FRAMES = 360


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "demo",
        "Broker, model and subscriber on this machine; writes an annotated image.",
        run=run,
        examples=["edge demo --model my.tflite -o seen.jpg"],
    )
    parser.add_argument(
        "--frames", metavar="N", type=positive, default=FRAMES, help="default: %(default)s"
    )
    parser.add_argument(
        "--model", metavar="FILE", type=Path, help="a model of edge-convert (default: built-in)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("demo.jpg"),
        help="default: %(default)s",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Run it and print its report."""
    from edge.demo import demonstration  # noqa: PLC0415 - `edge --help` needs neither NumPy nor LiteRT

    print(
        demonstration.run(frames=arguments.frames, output=arguments.output, model=arguments.model)
    )
