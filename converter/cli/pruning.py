"""How fast a pruned model is to be, and the verb `edge-convert prune`."""

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
    from collections.abc import Sequence

    from converter.prune.pruning import Pruned
    from edge.model.model_file import ModelFile

COUNT = 96
# Nearer to the whole than that, measuring tells nothing.
LEAST, LEAST_RATIO = 1.05, 0.05


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
    add_targets(parser.add_mutually_exclusive_group(required=True))
    parser.add_argument(
        "--images", metavar="DIR", type=Path, required=True, help="plain ones, without labels"
    )
    parser.add_argument(
        "--count", metavar="N", type=int, default=COUNT, help="of the images; default: %(default)s"
    )
    making.add_seed(parser)
    parser.add_argument("--json", action="store_true", help="what was done as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)


def add_targets(group: Any) -> None:  # noqa: ANN401 - argparse keeps the type of a group to itself
    """Add the options that say how much a model is pruned: one of them, or none."""
    group.add_argument(
        "--speedup",
        metavar="TIMES",
        type=partial(making.number, least=LEAST, most=1 / LEAST_RATIO),
        help="how many times as fast int8 is to be, measured here",
    )
    group.add_argument(
        "--macs",
        metavar="RATIO",
        type=partial(making.number, least=LEAST_RATIO, most=1 / LEAST),
        help="part of the multiplications that is to be left",
    )


def prune_as_asked(
    arguments: argparse.Namespace, file: ModelFile, images: Sequence[Path]
) -> Pruned | None:
    """Return a float model pruned as the options say, and say so; `None` if they do not.

    Raises:
        ModelError: It cannot be pruned, or not that much.
        SourceError: There are too few images, or one cannot be read.
    """
    if arguments.speedup is None and arguments.macs is None:
        return None
    from converter.prune.pruning import Pruner  # noqa: PLC0415 - inspect needs no OpenCV

    by_macs = arguments.macs is not None
    done = Pruner(file, images).prune(arguments.speedup or 1 / arguments.macs, by_macs=by_macs)
    for kind, name in done.foreign:
        outputs.say(f"{kind} is not known to pruning: what it reads for {name!r} stays whole")
    return done


def _prune(arguments: argparse.Namespace) -> int:
    export.check_folder(arguments.output)
    file = model_file.read_own(arguments.model)
    done = prune_as_asked(arguments, file, making.draw(arguments).paths)
    if done:
        export.write(done.file, arguments.output)
        print(json.dumps(_fields(done), indent=1) if arguments.json else _text(done))
    return DONE


def _fields(done: Pruned) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "digest": done.file.description.digest,
        "gain": round(done.gain, 3),
        "what": done.what,
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
        f"{table}\n\nint8        {done.gain:.2f} {done.what}\n"
        f"outputs     squared error {done.cut_error:.3f} of their power by the cut, "
        f"{done.error:.3f} once refitted, on images that nothing was fitted to"
    )
