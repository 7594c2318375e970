"""The verb `edge prepare`: builds the engine that an accelerator runs a model with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import DONE, add_verb

if TYPE_CHECKING:
    import argparse


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "prepare",
        "Build the engine that an accelerator runs a model with; once, it takes minutes.",
        run=run,
        examples=[
            "edge prepare /etc/edge/door.toml",
            "edge prepare --model my.fp16.onnx --delegate tensorrt",
        ],
    )
    parser.add_argument("config", metavar="CONFIG", nargs="?", type=Path, help="a TOML file")
    parser.add_argument("--model", metavar="FILE", type=Path, help="an .onnx of edge-convert")
    parser.add_argument("--delegate", metavar="NAME", help="what runs the model, such as tensorrt")


def run(arguments: argparse.Namespace) -> int:
    """Build, prove and keep the engine, and say where."""
    from edge import app  # noqa: PLC0415 - `edge --help` needs neither OpenCV nor a runtime
    from edge.config import reading  # noqa: PLC0415
    from edge.config.paths import state_folder  # noqa: PLC0415
    from edge.model import engines, proof  # noqa: PLC0415
    from edge.model.backend import check_delegate  # noqa: PLC0415
    from edge.model.loaded import load_model  # noqa: PLC0415
    from edge.terminal.progress import waiting  # noqa: PLC0415

    given = {"file": arguments.model, "delegate": arguments.delegate}
    model = {key: value for key, value in given.items() if value is not None}
    config = reading.load(arguments.config, {"model": model} if model else {})
    file, delegate = app.model_file(config), config.model.delegate
    check_delegate(file, delegate)
    engine = engines.locate(file, delegate, state_folder())
    if engine is None:
        print(f'{file.path}: delegate "{delegate}" needs nothing prepared')
        return DONE
    started_s = time.monotonic()
    with engines.building(engine) as folder, waiting(f"build an engine for {engine.gpu}"):
        built = load_model(file, delegate=delegate, engine=folder)
        proof.check(built, file.manifest.proof if file.manifest else {})
    elapsed_s = time.monotonic() - started_s
    print(f"{engine.folder}: engine of {file.path} for {engine.gpu}, built in {elapsed_s:.0f} s")
    return DONE
