"""The verb `edge-convert train`: one of our nets, trained on labelled images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making, outputs
from converter.quantize.quantization import refuse_quantized
from edge.errors import ConfigError
from edge.heads import task_of
from edge.model.model_file import read_own
from edge.terminal.command import DONE, add_verb, positive
from edge.terminal.table import render

if TYPE_CHECKING:
    import argparse

    from converter.train.data.augment import Changes
    from converter.train.data.labelled import Labelled
    from converter.train.data.parts import Parts
    from converter.train.loop import Plan
    from converter.train.training import Trained
    from edge.model.model_file import ModelFile

EPOCHS, EVALUATIONS = 60, 20
# Of a model that learnt before, or was pruned: it has little to learn and much to forget. Its batch
# has so many pixels, so that memory does not grow with the input.
FURTHER_RATE, FURTHER_PIXELS, MOST_BATCH = 5e-4, 8 * 256 * 256, 16
FOLDER_END = ".train"
# What each task learns from.
NEEDS = {"detection": "boxes", "segmentation": "masks", "classification": "classes",
         "anomaly": "images"}  # fmt: skip


def add_train(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    from converter.train.nets.table import NETS  # noqa: PLC0415 - its names are choices

    parser = add_verb(
        verbs,
        "train",
        "Train a net on labelled images: the result is a float .tflite of ours.",
        run=_train,
        examples=[
            "edge-convert train ssd-mobilenet --data cells --minutes 30 -o cells-float.tflite",
            "edge-convert train unet-mobilenet --data photos --labels masks -o float.tflite",
        ],
    )
    parser.usage = "edge-convert train NET --data DIR -o FILE [options]"
    parser.add_argument(
        "net", metavar="NET",
        help=f"a float .tflite of ours, maybe a pruned one, or a new {', '.join(NETS)}",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True,
        help="images, or folders of images and of labels",
    )  # fmt: skip
    parser.add_argument(
        "--labels", metavar="PATH", type=Path,
        help="COCO, VOC, YOLO or masks; default: sought in --data",
    )  # fmt: skip
    parser.add_argument("--classes", metavar="A,B", help="only these, in this order")
    parser.add_argument("--select-list", metavar="FILE", type=Path, help="names of what selects")
    parser.add_argument("--judge-list", metavar="FILE", type=Path, help="names of what judges")
    net = parser.add_argument_group("the net")
    net.add_argument("--input", metavar="PX", type=positive, help="side of its input")
    net.add_argument(
        "--width", metavar="FACTOR", default=1.0,
        help="of its channels; but for 1 it starts untrained",
        type=lambda text: making.number(text, least=0.1, most=4.0),
    )  # fmt: skip
    net.add_argument(
        "--anchors", choices=("kmeans", "paper"), default="kmeans",
        help="of a detector: found in the boxes, or the paper's scales; default: %(default)s",
    )  # fmt: skip
    net.add_argument(
        "--backbone", metavar="FILE", type=Path,
        help="a float SSDLite of ours; default: the shipped model",
    )  # fmt: skip
    _add_schedule(parser.add_argument_group("the training"))
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True)


def _add_schedule(group: Any) -> None:  # noqa: ANN401
    group.add_argument(
        "--epochs", metavar="N", type=positive, default=EPOCHS,
        help="times that each image is seen, at most; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--minutes", metavar="N", type=lambda text: making.number(text, least=0.01),
        help="after which it ends with what is best so far",
    )  # fmt: skip
    group.add_argument("--batch", metavar="N", type=positive, help="images a step")
    group.add_argument(
        "--learning-rate", metavar="X", type=lambda text: making.number(text, least=1e-7, most=10)
    )
    group.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    group.add_argument(
        "--flips", choices=("none", "across", "both"), default="across",
        help="mirror left and right, upside down; default: %(default)s",
    )  # fmt: skip
    group.add_argument("--zoom-out", metavar="TIMES", default=2.0, help="default: %(default)s",
                       type=lambda text: making.number(text, least=1.0, most=8.0))  # fmt: skip
    group.add_argument("--least-crop", metavar="RATIO", default=0.3, help="default: %(default)s",
                       type=lambda text: making.number(text, least=0.1, most=1.0))  # fmt: skip
    group.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint beside the output"
    )
    making.add_seed(group)


def _train(arguments: argparse.Namespace) -> int:
    from converter.train.backend import load_keras  # noqa: PLC0415 - TensorFlow, 3 s
    from converter.train.data import labelled  # noqa: PLC0415 - loads OpenCV
    from converter.train.data.parts import share_out  # noqa: PLC0415 - likewise
    from converter.train.nets.table import NETS  # noqa: PLC0415 - likewise
    from edge.evaluation.reading import chosen  # noqa: PLC0415 - likewise

    net = NETS.get(arguments.net)
    own = None if net else _own(arguments.net)
    export.check_folder(arguments.output)
    load_keras("train")
    from converter.train.training import train  # noqa: PLC0415 - as above

    folder = arguments.output.with_name(arguments.output.name + FOLDER_END)
    names = tuple(arguments.classes.split(",")) if arguments.classes else ()
    found = labelled.read(
        arguments.data, arguments.labels,
        holds=net.needs if net else NEEDS[task_of(own.description.head)] if own else "",
        names=own.description.labels if own else names,
    )  # fmt: skip
    for line in found.remarks:
        outputs.say(line)
    images = [sample.path for sample in found.samples]
    lists = {part: getattr(arguments, f"{part}_list") for part in ("judge", "select")}
    named = {part: chosen(images, path) for part, path in lists.items() if path}
    parts = share_out(found, seed=arguments.seed, **named)
    outputs.say(
        f"{len(parts.train)} images train, {len(parts.select)} select, {len(parts.judge)} judge; "
        f"{len(found.labels)} classes: {', '.join(found.labels) or 'none'}"
    )
    file = own or _new(arguments, found, parts)
    with outputs.resumable(folder):
        done = train(
            replace(file, path=arguments.output), found, parts=parts,
            plan=_plan(arguments, file, images=len(parts.train), folder=folder),
            changes=_changes(arguments),
            frozen=net.frozen if net and arguments.width == 1 else 0, is_new=bool(net),
            resume=arguments.resume,
        )  # fmt: skip
    export.write(done.file, arguments.output)
    print(json.dumps(_fields(done), indent=1) if arguments.json else _text(done, folder))
    return DONE


def _own(name: str) -> ModelFile:
    """Return the float model of ours that is to go on learning."""
    from converter.train.nets.table import NETS  # noqa: PLC0415 - as above

    path = Path(name)
    if path.suffix != ".tflite":
        raise ConfigError(
            f"expected a float .tflite of ours or one of {', '.join(NETS)}, found {name!r}"
        )
    file = read_own(path)
    refuse_quantized(file)
    task = task_of(file.description.head)
    if task not in NEEDS:
        raise ConfigError(f"{path}: expected a model for {', '.join(NEEDS)}, found one for {task}")
    return file


def _new(arguments: argparse.Namespace, found: Labelled, parts: Parts) -> ModelFile:
    from converter.train.nets.table import NETS  # noqa: PLC0415 - as above
    from converter.train.nets.wish import Wish  # noqa: PLC0415 - as above
    from converter.train.training import anchors_of, new_model  # noqa: PLC0415 - as above

    net = NETS[arguments.net]
    side = arguments.input or net.side_px
    if arguments.anchors == "paper" and not net.anchors:
        raise ConfigError(f"--anchors is for detectors, and {arguments.net} is none; leave it out")
    by_means = net.anchors and arguments.anchors == "kmeans"
    wish = Wish(
        labels=found.labels, size_wh=(side, side), width=arguments.width, seed=arguments.seed,
        anchors_wh=anchors_of(parts.train, net.anchors, seed=arguments.seed) if by_means else None,
        backbone=arguments.backbone, half=net.half,
    )  # fmt: skip
    return new_model(net, wish, name=arguments.output.stem, path=arguments.output)


def _plan(arguments: argparse.Namespace, file: ModelFile, *, images: int, folder: Path) -> Plan:
    from converter.train.nets.table import NETS  # noqa: PLC0415 - as above

    net, batch = NETS.get(arguments.net), arguments.batch
    if net:
        batch = batch or net.batch
    plan = further_plan(file, images, folder, epochs=arguments.epochs, batch=batch)
    return replace(
        plan, learning_rate=arguments.learning_rate or (net.rate if net else FURTHER_RATE),
        seed=arguments.seed, optimizer=arguments.optimizer, minutes=arguments.minutes,
    )  # fmt: skip


def further_plan(
    file: ModelFile, images: int, folder: Path, *, epochs: int = EPOCHS, batch: int | None = None
) -> Plan:
    """Return how a model that learnt before is trained on so many images."""
    from converter.train.loop import Plan  # noqa: PLC0415 - as above

    wide, high = file.description.input.size_wh
    batch = batch or min(MOST_BATCH, max(1, FURTHER_PIXELS // (wide * high)))
    steps = max(1, round(epochs * images / batch))
    return Plan(
        steps=steps, batch=batch, learning_rate=FURTHER_RATE, warmup_steps=min(100, steps // 10),
        evaluate_every=max(1, steps // EVALUATIONS), folder=folder,
    )  # fmt: skip


def _changes(arguments: argparse.Namespace) -> Changes:
    from converter.train.data.augment import Changes  # noqa: PLC0415 - as above

    return Changes(
        zoom_out=arguments.zoom_out, least_side=arguments.least_crop, flips=arguments.flips
    )


def _fields(done: Trained) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "digest": done.file.description.digest,
        "steps": done.fitted.steps,
        "best_step": done.fitted.best_step,
        "why": done.fitted.why,
        "select_score": done.fitted.score,
        "judge": dict(done.metrics),
        "classes": {label: dict(row) for label, row in done.classes.items()},
    }


def _text(done: Trained, folder: Path) -> str:
    names = list(next(iter(done.classes.values()), {}))
    rows = [[label, *(f"{row[name]:.4g}" for name in names)] for label, row in done.classes.items()]
    lines = [render(["label", *names], rows), ""] if rows else []
    lines += [f"{name:<20}{value:.4f}" for name, value in list(done.metrics.items())[:3]]
    fitted = done.fitted
    lines += [
        f"trained     {fitted.steps} steps: {fitted.why}; best at {fitted.best_step}",
        f"curves      {folder / 'curves.png'}, log.csv beside it",
        f"file        {done.file.path}, {done.file.description.digest}",
    ]
    return "\n".join(lines)
