"""The verb `edge-convert prune`: a float model of ours made faster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making, recovery
from converter.cli.pruning import (
    TARGETS,
    add_targets,
    as_it_is,
    prune_as_asked,
    resumable,
    with_classes,
)
from converter.prune.criteria import CRITERIA
from edge.model import model_file
from edge.terminal.command import DONE, add_verb, positive
from edge.terminal.table import render

if TYPE_CHECKING:
    import argparse

    from converter.prune.pruning import Pruned

COUNT = 96
# Of the images, those that say when a recovery is to stop.
SELECTS = 4


def add_prune(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "prune",
        "Make a float .tflite of ours faster: fewer channels, lower ranks, a smaller input.",
        run=_prune,
        examples=[
            "edge-convert prune my-float.tflite --speedup 1.3 --images photos -o small.tflite",
            "edge-convert prune my-float.tflite --input-size 320 -o small.tflite",
            "edge-convert prune my-float.tflite --classes person,dog,cat -o small.tflite",
        ],
    )
    # All options in a row would be a fifth of the page.
    parser.usage = "edge-convert prune [options] MODEL -o FILE"
    parser.add_argument("model", metavar="MODEL", type=Path, help="float, as run --float keeps it")
    add_targets(parser)
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="plain ones, by which to choose what goes"
    )
    parser.add_argument(
        "--count", metavar="N", type=positive, help=f"of the images; default: {COUNT}, or all"
    )
    parser.add_argument(
        "--criterion",
        choices=CRITERIA,
        default=CRITERIA[0],
        help="of the channels that go first; default: %(default)s",
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=positive,
        default=1,
        help="of cutting, refitting and looking again; default: %(default)s",
    )
    making.add_seed(parser)
    parser.add_argument("--json", action="store_true", help="what was done as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)
    parser.set_defaults(refuse=parser.error)


def _prune(arguments: argparse.Namespace) -> int:
    is_exact = all(getattr(arguments, name) is None for name in TARGETS)
    if is_exact and not (arguments.input_size or arguments.classes):
        arguments.refuse("expected --speedup, --macs, --latency-ms, --input-size or --classes")
    if not (is_exact or arguments.images):
        arguments.refuse("expected --images, by which to choose what goes")
    export.check_folder(arguments.output)
    file = with_classes(arguments, model_file.read_own(arguments.model))
    images = () if is_exact else making.draw(arguments, most=COUNT).paths
    served = recovery.Served(images, images[: len(images) // SELECTS])
    with resumable(arguments.output):
        done = prune_as_asked(arguments, file, served) or as_it_is(file)
    export.write(done.file, arguments.output)
    text = _text(done, is_trained=bool(arguments.recover))
    print(json.dumps(_fields(done), indent=1) if arguments.json else text)
    return DONE


def _fields(done: Pruned) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "digest": done.file.description.digest,
        "gain": round(done.gain, 3) if done.what else None,
        "what": done.what,
        "step": done.step,
        "error_cut": done.cut_error,
        "error_refitted": done.error,
        "groups": [
            {"name": name, "kept": kept, "channels": all_} for name, kept, all_ in done.rows
        ],
        "not_followed": [{"kind": kind, "output": name} for kind, name in done.foreign],
    }


def _text(done: Pruned, *, is_trained: bool) -> str:
    if not done.rows:
        return done.step
    rows = [[name[-50:], kept, channels] for name, kept, channels in done.rows]
    # Lower ranks refit nothing: there is one error only.
    is_refitted = done.error != done.cut_error
    table = render(["channels" if is_refitted else "rank", "stay", "of"], rows)
    errors = f"{done.cut_error:.3f} of their power by the cut" + (
        f", {done.error:.3f} once refitted" if is_refitted else ""
    )
    trained = f"\ntrained     {done.step}" if is_trained else ""
    return (
        f"{table}\n\nint8        {done.gain:.2f} {done.what}\n"
        f"outputs     squared error {errors}, on images that nothing was fitted to{trained}"
    )
