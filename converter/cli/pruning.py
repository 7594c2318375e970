"""The verb `edge-convert prune`: a float model with fewer channels, as fast as is asked for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making, outputs
from edge.model import model_file
from edge.terminal.command import DONE, add_verb
from edge.terminal.table import render

if TYPE_CHECKING:
    import argparse

    from converter.prune.pruning import Pruned

COUNT = 96


def add_prune(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "prune",
        "Take channels out of a float .tflite of ours, and refit what is left.",
        run=_prune,
        examples=[
            "edge-convert prune my-float.tflite --speedup 1.3 --images photos -o small.tflite"
        ],
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="float, as run --float keeps it")
    parser.add_argument(
        "--speedup",
        metavar="TIMES",
        type=partial(making.number, least=1.01, most=20.0),
        required=True,
        help="how many times as fast the int8 model is to be, measured on this machine",
    )
    parser.add_argument(
        "--images", metavar="DIR", type=Path, required=True, help="plain ones, without labels"
    )
    parser.add_argument(
        "--count", metavar="N", type=int, default=COUNT, help="of the images; default: %(default)s"
    )
    making.add_seed(parser)
    parser.add_argument("--json", action="store_true", help="what was done as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)


def _prune(arguments: argparse.Namespace) -> int:
    from converter.prune.pruning import prune  # noqa: PLC0415 - inspect needs no OpenCV

    export.check_folder(arguments.output)
    images = making.draw(arguments)
    done = prune(model_file.read_own(arguments.model), images.paths, speedup=arguments.speedup)
    export.write(done.file, arguments.output)
    print(json.dumps(_fields(done), indent=1) if arguments.json else _text(done))
    for kind, name in done.foreign:
        outputs.say(f"{kind} is not known to pruning: what it reads for {name!r} stays whole")
    return DONE


def _fields(done: Pruned) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "digest": done.file.description.digest,
        "speedup": round(done.speedup, 3),
        "error_cut": done.cut_error,
        "error_refitted": done.error,
        "groups": [
            {"name": name, "kept": kept, "channels": all_} for name, kept, all_ in done.rows
        ],
        "not_followed": [{"kind": kind, "output": name} for kind, name in done.foreign],
    }


def _text(done: Pruned) -> str:
    rows = [[name[-50:], kept, channels] for name, kept, channels in done.rows]
    table = render(["channels made for", "stay", "of"], rows)
    return (
        f"{table}\n\nspeed       {done.speedup:.2f} x, int8 on this machine\n"
        f"outputs     squared error {done.cut_error:.3f} of their power by the cut, "
        f"{done.error:.3f} once refitted, on images that nothing was fitted to"
    )
