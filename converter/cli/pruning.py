"""How fast a model is to be and by which lever, and the verb `edge-convert prune`."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making, outputs, recovery
from converter.prune.criteria import CRITERIA, ENERGY, NORM, TAYLOR, by_norm
from edge.errors import ConfigError
from edge.model import model_file
from edge.model.readers.manifest import digest_of
from edge.terminal.command import DONE, add_verb, positive
from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.conversion import Images
    from converter.prune.criteria import Criterion
    from converter.prune.pruning import Pruned
    from edge.model.model_file import ModelFile

LEVERS = ("best", "channels", "input")
HANGS_ON = ("lever", "criterion", "rounds", "input_size", "sweep")
COUNT = 96
# Nearer to the whole than that, measuring tells nothing.
LEAST, LEAST_RATIO = 1.05, 0.05
LEAST_DENSE = 0.95
# Of the images of `prune`, those that say when a recovery is to stop.
SELECTS = 4
TARGETS = ("speedup", "macs", "latency_ms")


def add_prune(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "prune",
        "Make a float .tflite of ours faster: fewer channels, a smaller input, or both.",
        run=_prune,
        examples=[
            "edge-convert prune my-float.tflite --speedup 1.3 --images photos -o small.tflite",
            "edge-convert prune my-float.tflite --input-size 320 --images photos -o small.tflite",
        ],
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="float, as run --float keeps it")
    add_targets(parser)
    parser.add_argument(
        "--images", metavar="DIR", type=Path, required=True, help="plain ones, without labels"
    )
    parser.add_argument(
        "--count", metavar="N", type=int, default=COUNT, help="of the images; default: %(default)s"
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


def add_targets(parser: argparse.ArgumentParser) -> Any:  # noqa: ANN401
    """Add the options that say how much faster a model is to be, and by what.

    Returns:
        The group of those of which one may be given.
    """
    group = parser.add_argument_group("how fast; judged against the whole model all the same")
    one = group.add_mutually_exclusive_group()
    one.add_argument(
        "--speedup",
        metavar="TIMES",
        type=partial(making.number, least=LEAST, most=1 / LEAST_RATIO),
        help="how many times as fast int8 is to be, measured here",
    )
    one.add_argument(
        "--macs",
        metavar="RATIO",
        type=partial(making.number, least=LEAST_RATIO, most=1 / LEAST),
        help="part of the multiplications that is to be left",
    )
    one.add_argument(
        "--latency-ms",
        metavar="MS",
        type=partial(making.number, least=math.ulp(0.0)),
        help="of one int8 invoke on one thread here, or by --layers",
    )
    group.add_argument(
        "--layers",
        metavar="FILE",
        type=Path,
        help="the board's times: edge bench WHOLE.tflite --layers --json FILE",
    )
    group.add_argument(
        "--lever",
        choices=LEVERS,
        default=LEVERS[0],
        help="fewer channels, a smaller input, or of both what sees most; default: %(default)s",
    )
    group.add_argument(
        "--input-size", metavar="N|WxH", type=_size, help="rebuild the net for this input first"
    )
    recovery.add_recover(group)
    group.add_argument(
        "--resume", action="store_true", help="go on with what an interrupted run left beside -o"
    )
    return one


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add what `run` alone does of this: several speeds in one picture, and zeros."""
    group = add_targets(parser)
    parser.add_argument(
        "--compress-zeros",
        metavar="RATIO",
        type=partial(making.number, most=LEAST_DENSE),
        help="of the weights become 0, for a smaller download; speeds nothing up",
    )
    group.add_argument(
        "--sweep",
        metavar="TIMES,TIMES",
        type=_speeds,
        help="draw these speeds by fewer channels and by a smaller input into o.sweep",
    )


def _speeds(text: str) -> tuple[float, ...]:
    return tuple(making.number(each, least=LEAST, most=1 / LEAST_RATIO) for each in text.split(","))


def _size(text: str) -> tuple[int, int]:
    sides = [positive(side) for side in text.split("x")]
    if len(sides) > len("WH"):
        raise argparse.ArgumentTypeError(f"expected N or WxH, found {text!r}")
    return sides[0], sides[-1]


def prune_as_asked(
    arguments: argparse.Namespace,
    file: ModelFile,
    images: Sequence[Path],
    *,
    select: Sequence[Path],
) -> Pruned | None:
    """Return a float model made faster as the options say, and say how; `None` if they do not.

    Those of the images that `select` say when a recovery is to stop.

    Raises:
        ConfigError: The options say nothing to each other, or ask for what is there.
        ModelError: It cannot be made so, or not that much.
        SourceError: There are too few images, or one cannot be read.
    """
    target = [name for name in TARGETS if getattr(arguments, name) is not None]
    _check(arguments, target)
    small = None
    if arguments.input_size:
        from converter.prune.resizing import with_input  # noqa: PLC0415 - loads the runtime

        small = with_input(file, arguments.input_size)
        if not target:
            return _resized(small)
    if not target:
        return None
    from converter.prune.levers import Levers  # noqa: PLC0415 - inspect needs no OpenCV
    from converter.prune.measures import Target  # noqa: PLC0415 - as above
    from converter.prune.stages import Stages  # noqa: PLC0415 - as above

    stages = Stages(arguments.output, _key(arguments, file, images), resume=arguments.resume)
    criterion = _criterion(getattr(arguments, "criterion", ENERGY), small or file, images)
    rounds = getattr(arguments, "rounds", 1)
    levers = Levers(small or file, images, criterion=criterion, rounds=rounds, stages=stages)
    wanted = Target(arguments.speedup, arguments.macs, arguments.latency_ms, arguments.layers)
    done, lines = levers.pull(wanted, lever=arguments.lever)
    for line in lines:
        outputs.say(f"tried {line}")
    for kind, name in done.foreign:
        outputs.say(f"{kind} is not known to pruning: what it reads for {name!r} stays whole")
    if arguments.recover:
        done = recovery.recovered(arguments, file, done, served=recovery.Served(images, select))
    stages.clear()
    return done


def _check(arguments: argparse.Namespace, target: Sequence[str]) -> None:
    """Refuse options that say nothing to each other."""
    sweep, layers = getattr(arguments, "sweep", None), arguments.layers
    if sweep and (layers or arguments.input_size or arguments.lever != LEVERS[0]):
        raise ConfigError(
            "--sweep pulls both levers, from the model's own input, by times measured here; leave "
            "--lever, --input-size and --layers out"
        )
    if layers and (target in ([], ["macs"]) or arguments.input_size):
        raise ConfigError(
            "--layers tells times at the model's own input; give it with --speedup or "
            "--latency-ms, without --input-size"
        )
    if layers and not layers.is_file():
        raise ConfigError(f"{layers}: no such file; make it with: edge bench MODEL --layers --json")
    if arguments.resume and not (target or sweep):
        raise ConfigError(
            "--resume goes on with a cut; give --speedup, --macs, --latency-ms or --sweep"
        )
    recovery.check(arguments, is_cut=bool(target))


def _criterion(name: str, file: ModelFile, images: Sequence[Path]) -> Criterion | None:
    if name == TAYLOR:
        from converter.train.taylor import by_taylor  # noqa: PLC0415 - loads TensorFlow

        return by_taylor(file, images)
    return by_norm if name == NORM else None


def swept(arguments: argparse.Namespace, reference: ModelFile, images: Images) -> int:
    """Draw a sweep beside the output; the models lie in the same folder."""
    from converter.deliver import sweep  # noqa: PLC0415 - loads OpenCV
    from converter.prune.levers import Levers  # noqa: PLC0415 - as above
    from converter.prune.stages import Stages  # noqa: PLC0415 - as above

    _check(arguments, ())
    served = (*images.sets.calibrate.paths, *images.sets.select.paths)
    stages = Stages(arguments.output, _key(arguments, reference, served), resume=arguments.resume)
    found = sweep.sweep(
        Levers(reference, served, stages=stages), images, making.recipe_of(arguments),
        speeds=arguments.sweep, budget=making.budget_of(arguments),
    )  # fmt: skip
    folder = arguments.output.with_suffix(".sweep")
    sweep.write(found, folder)
    stages.clear()
    print(json.dumps(sweep.fields(found), indent=1) if arguments.json else sweep.as_text(found))
    outputs.say(f"{folder}: the models, sweep.json, and sweep.png to look at")
    return DONE


def with_zeros(arguments: argparse.Namespace, file: ModelFile) -> ModelFile:
    """Return a float model with as many zeros among its weights as the options say."""
    from converter.prune.zeros import with_zeros as zeroed  # noqa: PLC0415 - loads the runtime

    return zeroed(file, arguments.compress_zeros) if arguments.compress_zeros else file


def say_download(arguments: argparse.Namespace, file: ModelFile) -> None:
    """Say what zeros are good for."""
    from converter.prune.zeros import download_text  # noqa: PLC0415 - as above

    if arguments.compress_zeros:
        outputs.say(f"{arguments.output}: {download_text(file)}")


def _resized(file: ModelFile) -> Pruned:
    from converter.prune.pruning import Pruned  # noqa: PLC0415 - loads the runtime

    return Pruned(file, file.own_manifest().provenance.steps[-1], 1.0, "")


def _key(arguments: argparse.Namespace, file: ModelFile, images: Sequence[Path]) -> str:
    """Return all that a cut hangs on, in words."""
    contents = hashlib.sha256(b"".join(digest_of(path.read_bytes()).encode() for path in images))
    options = {name: str(getattr(arguments, name)) for name in (*TARGETS, *HANGS_ON)
               if name in arguments}  # fmt: skip
    board = digest_of(arguments.layers.read_bytes()) if arguments.layers else ""
    return json.dumps([file.description.digest, contents.hexdigest(), options, board], indent=1)


def _prune(arguments: argparse.Namespace) -> int:
    if all(getattr(arguments, name) is None for name in (*TARGETS, "input_size")):
        arguments.refuse("expected --speedup, --macs, --latency-ms or --input-size")
    export.check_folder(arguments.output)
    file = model_file.read_own(arguments.model)
    images = () if _is_size_only(arguments) else making.draw(arguments).paths
    done = prune_as_asked(arguments, file, images, select=images[: len(images) // SELECTS])
    if done:
        export.write(done.file, arguments.output)
        print(json.dumps(_fields(done), indent=1) if arguments.json else _text(done))
    return DONE


def _is_size_only(arguments: argparse.Namespace) -> bool:
    return all(getattr(arguments, name) is None for name in TARGETS)


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


def _text(done: Pruned) -> str:
    if not done.rows:
        return done.step
    rows = [[name[-50:], kept, channels] for name, kept, channels in done.rows]
    table = render(["channels made for", "stay", "of"], rows)
    return (
        f"{table}\n\nint8        {done.gain:.2f} {done.what}\n"
        f"outputs     squared error {done.cut_error:.3f} of their power by the cut, "
        f"{done.error:.3f} once refitted, on images that nothing was fitted to"
    )
