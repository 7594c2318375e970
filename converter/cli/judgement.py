"""The options of `edge-convert` that say how to judge a model made of another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from converter.judge.gate import ACCURACY_LOSS, MASK_TOLERANCE, TOLERANCE, Budget
from edge.errors import ConfigError
from edge.terminal.command import positive

if TYPE_CHECKING:
    from converter.judge.accuracy import Annotations

HELD_BACK_COUNT = 100


def add_judgement(parser: argparse.ArgumentParser) -> None:
    """Add the options of the comparison with the float model."""
    parser.add_argument("--images", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "--annotations",
        metavar="FILE|DIR",
        type=Path,
        help="judge by labels: a COCO instances file; or a folder of VOC XML, YOLO text, or PNG "
        "masks",
    )
    parser.add_argument(
        "--names", metavar="FILE", type=Path, help="names of YOLO's or the masks' class ids"
    )
    parser.add_argument(
        "--held-back",
        metavar="N",
        type=positive,
        default=HELD_BACK_COUNT,
        help="images to judge on, none of which made or chose the model; default: %(default)s",
    )
    parser.add_argument(
        "--tolerance",
        metavar="TIMES",
        type=_times,
        help="how far int8 may see otherwise than float, times what a quarter of a pixel makes of "
        f"the float model; default: {TOLERANCE:g} for detectors, {MASK_TOLERANCE:g} for masks",
    )
    parser.add_argument(
        "--max-loss",
        metavar="RATIO",
        type=_ratio,
        default=ACCURACY_LOSS,
        help="mAP50-95 or mIoU that int8 may lose, with labels; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="the bill as JSON")


def add_report(parser: argparse.ArgumentParser, *, default: bool) -> None:
    """Add the switch of the report."""
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=default,
        help="tables and pictures in a folder beside the model, o.report beside o.tflite; "
        f"default: {'yes' if default else 'no'}",
    )


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def _times(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def annotations_of(arguments: argparse.Namespace) -> Annotations | None:
    """Return the labels to judge by, if any are given.

    Raises:
        ConfigError: Names are given without them.
    """
    from converter.judge.accuracy import Annotations  # noqa: PLC0415 - inspect needs no OpenCV

    if arguments.annotations is None:
        if arguments.names is not None:
            raise ConfigError("--names belongs to labels; give them with --annotations")
        return None
    return Annotations(arguments.annotations, arguments.names)


def budget_of(arguments: argparse.Namespace) -> Budget:
    """Return what a model may lose."""
    return Budget(tolerance=arguments.tolerance, accuracy_loss=arguments.max_loss)
