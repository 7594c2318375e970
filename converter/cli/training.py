"""The verb `edge-convert train`: one of our nets, trained on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making, outputs
from edge.errors import ConfigError
from edge.terminal.command import DONE, add_verb, positive
from edge.terminal.table import render

if TYPE_CHECKING:
    import argparse

    from converter.train.data.labelled import Labelled, Parts
    from converter.train.nets.table import Net
    from converter.train.training import Trained

EPOCHS, EVALUATIONS = 60, 20
FOLDER_END = ".train"


def add_train(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    from converter.train.nets.table import NETS  # noqa: PLC0415 - its names are choices

    parser = add_verb(
        verbs,
        "train",
        "Train one of our nets on labelled images: a float .tflite of ours, ready for quantize.",
        run=_train,
        examples=[
            "edge-convert train ssd-mobilenet --data cells --minutes 30 -o cells-float.tflite",
            "edge-convert train unet-mobilenet --data photos --labels masks -o float.tflite",
        ],
    )
    parser.add_argument("net", metavar="NET", choices=tuple(NETS), help=f"one of {', '.join(NETS)}")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True,
        help="images, or a data set with images and labels in folders of their own",
    )  # fmt: skip
    parser.add_argument(
        "--labels", metavar="PATH", type=Path,
        help="COCO file, or folder of VOC XML, YOLO text or masks; default: sought in --data",
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
        help="a float SSDLite-MobileNetV2 of ours to start with; default: the shipped model",
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
        help="mirror images left and right, and upside down as well; default: %(default)s",
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
    from converter.train.data import labelled  # noqa: PLC0415 - loads OpenCV
    from converter.train.nets.table import NETS  # noqa: PLC0415 - likewise
    from converter.train.training import train  # noqa: PLC0415 - likewise
    from edge.evaluation.reading import chosen  # noqa: PLC0415 - likewise

    net = NETS[arguments.net]
    export.check_folder(arguments.output)
    folder = arguments.output.with_name(arguments.output.name + FOLDER_END)
    names = tuple(arguments.classes.split(",")) if arguments.classes else ()
    found = labelled.read(arguments.data, arguments.labels, holds=net.needs, names=names)
    for line in found.remarks:
        outputs.say(line)
    images = [sample.path for sample in found.samples]
    parts = labelled.share_out(
        found,
        seed=arguments.seed,
        **{
            part: chosen(images, path)
            for part in ("judge", "select")
            if (path := getattr(arguments, f"{part}_list"))
        },
    )
    outputs.say(
        f"{len(parts.train)} images train, {len(parts.select)} select, {len(parts.judge)} judge; "
        f"{len(found.labels)} classes: {', '.join(found.labels) or 'none'}"
    )
    plan = _plan(arguments, net, images=len(parts.train), folder=folder)
    done = train(
        net, _wish(arguments, net, found=found, parts=parts), found, parts=parts, plan=plan,
        changes=_changes(arguments),
        name=arguments.output.stem, path=arguments.output, resume=arguments.resume,
    )  # fmt: skip
    export.write(done.file, arguments.output)
    print(json.dumps(_fields(done), indent=1) if arguments.json else _text(done, folder))
    return DONE


def _wish(arguments: argparse.Namespace, net: Net, *, found: Labelled, parts: Parts) -> Any:  # noqa: ANN401
    from converter.train.nets.wish import Wish  # noqa: PLC0415 - as above
    from converter.train.training import anchors_of  # noqa: PLC0415 - as above

    side = arguments.input or net.side_px
    if arguments.anchors == "paper" and not net.anchors:
        raise ConfigError(f"--anchors is for detectors, and {arguments.net} is none; leave it out")
    by_means = net.anchors and arguments.anchors == "kmeans"
    return Wish(
        labels=found.labels, size_wh=(side, side), width=arguments.width, seed=arguments.seed,
        anchors_wh=anchors_of(parts.train, net.anchors, seed=arguments.seed) if by_means else None,
        backbone=arguments.backbone, half=net.half,
    )  # fmt: skip


def _plan(arguments: argparse.Namespace, net: Net, *, images: int, folder: Path) -> Any:  # noqa: ANN401
    from converter.train.loop import Plan  # noqa: PLC0415 - as above

    batch = arguments.batch or net.batch
    steps = max(1, round(arguments.epochs * images / batch))
    return Plan(
        steps=steps, batch=batch, learning_rate=arguments.learning_rate or net.rate,
        warmup_steps=min(100, steps // 10), seed=arguments.seed,
        evaluate_every=max(1, steps // EVALUATIONS), folder=folder,
        optimizer=arguments.optimizer, minutes=arguments.minutes,
    )  # fmt: skip


def _changes(arguments: argparse.Namespace) -> Any:  # noqa: ANN401
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
    lines += [f"{name:<12}{value:.4f}" for name, value in list(done.metrics.items())[:3]]
    fitted = done.fitted
    lines += [
        f"trained     {fitted.steps} steps: {fitted.why}; best at {fitted.best_step}",
        f"curves      {folder / 'curves.png'}, log.csv beside it",
        f"file        {done.file.path}, {done.file.description.digest}",
    ]
    return "\n".join(lines)
