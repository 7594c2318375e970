"""Training of what a cut left, and for int8: the options and what they do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli import making, outputs
from converter.cli.training import NEEDS, further_plan
from edge.errors import ConfigError, SourceError
from edge.heads import task_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from converter.conversion import Images
    from converter.prune.pruning import Pruned
    from converter.search.attempts import Maker
    from converter.train.data.labelled import Labelled
    from edge.model.model_file import ModelFile

MINUTES, LEAST_MINUTES = 30.0, 0.01
# What distillation from the larger input came to is in docs/pruning.md.
UNCUT = (
    "no channel was cut, and a smaller input alone is not recovered without labels: what was tried "
    "lost more than it gave back; --recover-labels trains it by labels"
)


@dataclass(frozen=True, slots=True)
class Served:
    """Plain images, and those of them that do not train, but say when to stop."""

    images: Sequence[Path]
    select: Sequence[Path]


def served(images: Images) -> Served:
    """Return those of a conversion: all that do not judge."""
    select = images.sets.select.paths
    return Served((*images.sets.calibrate.paths, *select), select)


def add_recover(group: Any) -> None:  # noqa: ANN401 - argparse keeps the type of a group to itself
    """Add the option."""
    _add_minutes(group, "--recover", "then train it, without labels")
    group.add_argument(
        "--recover-labels", metavar="PATH", type=Path,
        help="by the labels of --images",
    )  # fmt: skip


def add_qat(parser: argparse.ArgumentParser) -> None:
    """Add the option of training for int8."""
    _add_minutes(parser, "--qat", "where int8 is refused, train the model for it")


def _add_minutes(group: Any, name: str, what: str) -> None:  # noqa: ANN401 - as above
    group.add_argument(
        name,
        metavar="MINUTES",
        nargs="?",
        const=MINUTES,
        type=partial(making.number, least=LEAST_MINUTES),
        help=f"{what}; default: %(const)g minutes",
    )


def trainer(arguments: argparse.Namespace, images: Images) -> Maker | None:
    """Return what trains for int8 where that is asked for.

    Raises:
        DependencyError: Keras is not installed.
    """
    if not arguments.qat:
        return None
    from converter.train.backend import load_keras  # noqa: PLC0415 - TensorFlow, 3 s

    load_keras("train for int8")
    from converter.train.quantised import train_quantised  # noqa: PLC0415 - as above

    return partial(
        train_quantised, select=images.sets.select.paths, minutes=arguments.qat,
        seed=arguments.seed,
    )  # fmt: skip


def say_untried(arguments: argparse.Namespace, *, is_refused: bool) -> None:
    """Say of a refused model that training was not tried: it takes its minutes."""
    if is_refused and not arguments.qat and not arguments.no_repair:
        outputs.say("training for int8 was not tried: add --qat")


def check(arguments: argparse.Namespace, file: ModelFile, *, is_cut: bool) -> Labelled | None:
    """Refuse, before the work, a recovery of nothing or by nothing; return the labels, if any.

    Raises:
        ConfigError: It was asked for, and no cut was; or the labels are of another kind.
        DependencyError: Keras is not installed.
        ModelError: It has an op that Keras is not taught.
        SourceError: The labels cannot be read, or are of no class of the model's.
    """
    if not arguments.recover:
        if arguments.recover_labels:
            raise ConfigError("--recover-labels says by what to recover: give --recover as well")
        return None
    if not is_cut:
        raise ConfigError(
            "--recover trains what a cut leaves: give --speedup, --macs or --latency-ms as well"
        )
    from converter.train.backend import load_keras  # noqa: PLC0415 - TensorFlow, 3 s

    load_keras("recover what a cut took")
    from converter.graph.folding import folded  # noqa: PLC0415 - as above
    from converter.graph.reading import read  # noqa: PLC0415 - as above
    from converter.train.twin.building import refuse_unknown  # noqa: PLC0415 - as above

    refuse_unknown(folded(read(file.flatbuffer, file.path)))
    if not arguments.recover_labels:
        return None
    from converter.train.data import labelled  # noqa: PLC0415 - loads OpenCV
    from converter.train.losses import for_task  # noqa: PLC0415 - as above

    for_task(file.description)
    found = labelled.read(
        arguments.images, arguments.recover_labels,
        holds=NEEDS[task_of(file.description.head)], names=file.description.labels,
    )  # fmt: skip
    for line in found.remarks:
        outputs.say(line)
    return found


# What was said, the model before and behind the cut, and what it may learn of.
def recovered(
    arguments: argparse.Namespace,
    whole: ModelFile,
    done: Pruned,
    *,
    served: Served,
    labels: Labelled | None = None,
) -> Pruned:
    """Return a cut model trained; without labels, one of a smaller input alone as it is.

    Args:
        arguments: Of the command line.
        whole: The model before.
        done: What was cut of it.
        served: The images.
        labels: Of these, and maybe of others.
    """
    outputs.say(done.step)
    if labels:
        return _by_labels(arguments, done, served=served, labels=labels)
    if not done.rows:
        outputs.say(UNCUT)
        return done
    from converter.prune.resizing import with_input  # noqa: PLC0415 - as above
    from converter.train.recover import recover  # noqa: PLC0415 - as above

    size_wh = done.file.description.input.size_wh
    teacher = whole if whole.description.input.size_wh == size_wh else with_input(whole, size_wh)
    kept, resume = _kept(arguments)
    train = [path for path in served.images if path not in served.select]
    found = recover(
        teacher, done.file, train, select=served.select, minutes=arguments.recover,
        seed=arguments.seed, folder=kept, resume=resume,
    )  # fmt: skip
    return replace(done, file=found.file, step=found.step)


def _by_labels(
    arguments: argparse.Namespace, done: Pruned, *, served: Served, labels: Labelled
) -> Pruned:
    from converter.train.data.parts import Parts  # noqa: PLC0415 - as above
    from converter.train.training import recover  # noqa: PLC0415 - as above

    select, held = set(served.select), set(served.images)
    parts = Parts(
        tuple(one for one in labels.samples if one.path in held - select),
        tuple(one for one in labels.samples if one.path in select), (),
    )  # fmt: skip
    if not (parts.train and parts.select):
        raise SourceError(
            f"expected labelled images that train and others that select, found "
            f"{len(parts.train)} and {len(parts.select)}; label more"
        )
    kept, resume = _kept(arguments)
    plan = replace(
        further_plan(done.file, len(parts.train), kept),
        minutes=arguments.recover, seed=arguments.seed,
    )  # fmt: skip
    file, step = recover(done.file, labels, parts=parts, plan=plan, resume=resume)
    return replace(done, file=file, step=step)


def _kept(arguments: argparse.Namespace) -> tuple[Path, bool]:
    """Return the folder of the checkpoint, and whether to go on with what it holds."""
    from converter.prune.stages import partial_folder  # noqa: PLC0415 - as above
    from converter.train.checkpoints import CHECKPOINT  # noqa: PLC0415 - as above

    folder = partial_folder(arguments.output) / "recover"
    return folder, arguments.resume and (folder / CHECKPOINT).is_file()
