"""The verb `edge eval`: its options, and what it does with them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import (
    DONE,
    add_descriptions,
    add_verb,
    descriptions,
    positive,
    write_text,
)

if TYPE_CHECKING:
    import argparse

    from edge.evaluation.measuring import Measurement

RESAMPLES = 1000

_log = logging.getLogger(__name__)


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "eval",
        "Measure one model, or others against the first, on labelled images: accuracy and time.",
        run=run,
        examples=[
            "edge eval my.tflite --images photos --annotations instances.json --html eval.html",
            "edge eval a.tflite b.tflite --images photos --annotations labels --names names.txt",
            "edge eval classifier.tflite --images folder-of-folders",
        ],
    )
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        type=Path,
        help="one .tflite, or several to compare with the first",
    )
    add_descriptions(parser)
    parser.add_argument("--images", metavar="DIR", type=Path, required=True, help="the images")
    parser.add_argument(
        "--annotations",
        metavar="FILE|DIR",
        type=Path,
        help="a COCO file; or a folder of VOC XML, YOLO text, PNG masks, or with a subfolder of "
        "images for each class; default: the folder of the images",
    )
    parser.add_argument(
        "--names", metavar="FILE", type=Path, help="names of YOLO's or the masks' class ids"
    )
    parser.add_argument(
        "--only", metavar="FILE", type=Path, help="names of the images to take, one a line"
    )
    parser.add_argument("--threads", metavar="N", type=positive, default=1, help="default: 1")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the bootstrap")
    parser.add_argument(
        "--resamples", metavar="N", type=positive, default=RESAMPLES, help=f"default: {RESAMPLES}"
    )
    parser.add_argument(
        "--pictures", metavar="DIR", type=Path, help="write the worst images, annotated"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with curves")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    from edge.evaluation import page, report  # noqa: PLC0415 - `edge --help` needs no OpenCV
    from edge.pages.page import check_packages  # noqa: PLC0415

    if arguments.html is not None:
        check_packages()
    measured = _measure(arguments)
    if arguments.json:
        print(json.dumps(report.fields(measured), indent=1))
    else:
        print(report.render(measured))
    # Behind the figures: they are not lost with a file that cannot be written.
    if arguments.pictures is not None:
        _write_pictures(measured, arguments.pictures)
    if arguments.html is not None:
        write_text(arguments.html, page.render(measured))
    return DONE


def _measure(arguments: argparse.Namespace) -> Measurement:
    from edge import app  # noqa: PLC0415
    from edge.evaluation import reading  # noqa: PLC0415
    from edge.evaluation.measuring import measure  # noqa: PLC0415
    from edge.preprocess import use_one_thread  # noqa: PLC0415
    from edge.terminal.progress import bar  # noqa: PLC0415

    use_one_thread()
    files = [
        app.read_model(path, description=description)
        for path, description in zip(arguments.models, descriptions(arguments), strict=True)
    ]
    found = reading.find_images(arguments.images)
    annotations = arguments.annotations or arguments.images
    truth = reading.read(annotations, found, names_path=arguments.names)
    images = reading.chosen(found, arguments.only) if arguments.only else found
    with bar("eval") as progress, bar("interval", unit="draws") as drawing:
        return measure(
            files,
            truth,
            images,
            seed=arguments.seed,
            resamples=arguments.resamples,
            threads=arguments.threads,
            progress=progress,
            drawing=drawing,
        )


def _write_pictures(measured: Measurement, folder: Path) -> None:
    from edge.evaluation import page, report  # noqa: PLC0415

    for model, letter in enumerate(report.letters(measured.evaluations)):
        target = folder / letter
        written = page.write_worst(measured, target, model=model)
        _log.info("%s: the %d worst images; %s", target, len(written), page.LEGEND)
