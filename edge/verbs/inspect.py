"""The verb `edge inspect`; what it shows is `edge.verbs.inspection`'s."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import add_verb

if TYPE_CHECKING:
    import argparse

STDOUT = "-"


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "inspect",
        "Show a model's tensors, head, labels and origin.",
        run=run,
        examples=[
            "edge inspect my.tflite",
            "edge inspect --json",
            "edge inspect other.tflite --draft other.toml",
        ],
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", type=Path, help="a .tflite (default: the built-in one)"
    )
    parser.add_argument(
        "--description", metavar="FILE", type=Path, help="a TOML that describes the model"
    )
    parser.add_argument(
        "--draft",
        metavar="FILE",
        nargs="?",
        const=STDOUT,
        help="write a TOML that describes the model, as far as its file tells (default: print it)",
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Load the model and print what it is."""
    from edge import app  # noqa: PLC0415 - `edge --help` needs neither NumPy nor LiteRT
    from edge.verbs import inspection  # noqa: PLC0415

    if arguments.draft:
        _write(arguments.draft, inspection.draft(arguments.model, arguments.description))
        return
    file = app.read_model(arguments.model, description=arguments.description)
    seen = inspection.inspect(file)
    print(json.dumps(seen.facts(), indent=1) if arguments.json else seen.text())


def _write(name: str, text: str) -> None:
    from edge.errors import ConfigError  # noqa: PLC0415

    if name == STDOUT:
        print(text, end="")
        return
    try:
        with Path(name).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be written: {error.strerror}; give another name") from (
            error
        )
    asked = text.count('= "?"')
    print(
        f"{name}: {f'choose {asked} values, where it says ?' if asked else 'complete'}; then add "
        f'to the configuration: [model] description = "{name}"'
    )
