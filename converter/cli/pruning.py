"""How fast a model is to be and by which lever: the options, and what they have done."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli import making, outputs, recovery
from converter.prune.criteria import ENERGY, NORM, TAYLOR, by_norm
from edge.errors import ConfigError
from edge.model.readers.manifest import digest_of
from edge.terminal.command import DONE, positive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from converter.cli.recovery import Served
    from converter.conversion import Images
    from converter.prune.criteria import Criterion
    from converter.prune.pruning import Pruned
    from converter.train.data.labelled import Labelled
    from edge.model.model_file import ModelFile

LEVERS = ("best", "channels", "rank", "input", "both")
HANGS_ON = ("lever", "criterion", "rounds", "input_size", "sweep")
# Nearer to the whole than that, measuring tells nothing.
LEAST, LEAST_RATIO = 1.05, 0.05
LEAST_DENSE = 0.95
TARGETS = ("speedup", "macs", "latency_ms")


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
        help="both: rank and input; default: %(default)s, what sees most",
    )
    group.add_argument(
        "--input-size", metavar="N|WxH", type=_size, help="rebuild the net for this input first"
    )
    group.add_argument(
        "--classes",
        metavar="A,B",
        type=_names,
        help="of a detector: these labels only, by the same scores",
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
        help="draw these speeds by each lever into o.sweep",
    )


def _speeds(text: str) -> tuple[float, ...]:
    return tuple(making.number(each, least=LEAST, most=1 / LEAST_RATIO) for each in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _size(text: str) -> tuple[int, int]:
    sides = [positive(side) for side in text.split("x")]
    if len(sides) > len("WH"):
        raise argparse.ArgumentTypeError(f"expected N or WxH, found {text!r}")
    return sides[0], sides[-1]


def with_classes(arguments: argparse.Namespace, file: ModelFile) -> ModelFile:
    """Return a float model of the labels that the options ask for.

    Raises:
        ConfigError: It has no such label.
        ModelError: Its scores hang on each other.
    """
    if not arguments.classes:
        return file
    from converter.prune.labels import with_labels  # noqa: PLC0415 - loads the runtime

    return with_labels(file, arguments.classes)


def resumable(output: Path) -> AbstractContextManager[None]:
    """Return what says on Ctrl-C how to go on with what a cut left."""
    from converter.prune.stages import partial_folder  # noqa: PLC0415 - loads NumPy

    return outputs.resumable(partial_folder(output))


def prune_as_asked(arguments: argparse.Namespace, file: ModelFile, served: Served) -> Pruned | None:
    """Return a float model made faster as the options say, and say how; `None` if they do not.

    Raises:
        ConfigError: The options say nothing to each other, or ask for what is there.
        ModelError: It cannot be made so, or not that much.
        SourceError: There are too few images, or one cannot be read.
    """
    target = [name for name in TARGETS if getattr(arguments, name) is not None]
    labels = _check(arguments, file, target)
    images, small = served.images, None
    if arguments.input_size:
        from converter.prune.resizing import with_input  # noqa: PLC0415 - loads the runtime

        small = with_input(file, arguments.input_size)
        if not target:
            return as_it_is(small)
    if not target:
        return None
    from converter.prune.levers import Levers  # noqa: PLC0415 - inspect needs no OpenCV
    from converter.prune.measures import Target, has_tiles  # noqa: PLC0415 - as above
    from converter.prune.stages import Stages  # noqa: PLC0415 - as above

    stages = Stages(arguments.output, _key(arguments, file, images), resume=arguments.resume)
    criterion = _criterion(getattr(arguments, "criterion", ENERGY), small or file, images)
    rounds = getattr(arguments, "rounds", 1)
    levers = Levers(small or file, images, criterion=criterion, rounds=rounds, stages=stages)
    if has_tiles() and not (arguments.macs or arguments.layers):
        outputs.say(
            "times of this CPU are no board's: its AMX tiles take as long for half of 64 channels; "
            "better give the board's with --layers, or --macs"
        )
    wanted = Target(arguments.speedup, arguments.macs, arguments.latency_ms, arguments.layers)
    done, lines = levers.pull(wanted, lever=arguments.lever)
    for line in lines:
        outputs.say(f"tried {line}")
    for kind, name in done.foreign:
        outputs.say(f"{kind} is not known to pruning: what it reads for {name!r} stays whole")
    if arguments.recover:
        done = recovery.recovered(arguments, file, done, served=served, labels=labels)
    stages.clear()
    return done


def _check(
    arguments: argparse.Namespace, file: ModelFile, target: Sequence[str]
) -> Labelled | None:
    """Refuse options that say nothing to each other; return the labels to recover by, if any."""
    sweep, layers = getattr(arguments, "sweep", None), arguments.layers
    if sweep and (layers or arguments.input_size or arguments.lever != LEVERS[0]):
        raise ConfigError(
            "--sweep pulls each lever, from the model's own input, by times measured here; leave "
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
    return recovery.check(arguments, file, is_cut=bool(target))


def _criterion(name: str, file: ModelFile, images: Sequence[Path]) -> Criterion | None:
    if name == TAYLOR:
        from converter.train.backend import load_keras  # noqa: PLC0415 - TensorFlow, 3 s

        load_keras("weigh channels by gradients")
        from converter.train.taylor import by_taylor  # noqa: PLC0415 - as above

        return by_taylor(file, images)
    return by_norm if name == NORM else None


def swept(arguments: argparse.Namespace, reference: ModelFile, images: Images) -> int:
    """Draw a sweep beside the output; the models lie in the same folder."""
    from converter.deliver import sweep  # noqa: PLC0415 - loads OpenCV
    from converter.prune.levers import Levers  # noqa: PLC0415 - as above
    from converter.prune.stages import Stages  # noqa: PLC0415 - as above

    _check(arguments, reference, ())
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


def as_it_is(file: ModelFile) -> Pruned:
    """Return a model whose last step is all that was done."""
    from converter.prune.pruning import Pruned  # noqa: PLC0415 - loads the runtime

    return Pruned(file, file.own_manifest().provenance.steps[-1], 1.0, "")


def _key(arguments: argparse.Namespace, file: ModelFile, images: Sequence[Path]) -> str:
    """Return all that a cut hangs on, in words."""
    contents = hashlib.sha256(b"".join(digest_of(path.read_bytes()).encode() for path in images))
    options = {name: str(getattr(arguments, name)) for name in (*TARGETS, *HANGS_ON)
               if name in arguments}  # fmt: skip
    board = digest_of(arguments.layers.read_bytes()) if arguments.layers else ""
    return json.dumps([file.description.digest, contents.hexdigest(), options, board], indent=1)
