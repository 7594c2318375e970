"""The options of `edge-convert` that say how to quantise a model, and how to judge it."""

from __future__ import annotations

import argparse
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from calibration.calibrators import CALIBRATORS
from converter.choice import QUANTILE
from converter.judge.gate import ACCURACY_LOSS, Budget
from converter.judge.kinds import KINDS
from converter.quantize.recipe import (
    DEFAULT_RECIPE,
    Repair,
    Selection,
    check_patterns,
    load_recipe,
    recipe_names,
    with_kept_ops,
    with_ranges,
)
from edge.errors import ConfigError
from edge.terminal.command import positive
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from calibration.dataset import ImageSet
    from converter.judge.accuracy import Annotations
    from converter.quantize.recipe import Kept, Recipe

REPAIRS: tuple[Repair, ...] = get_args(Repair)
NO_REPAIRS = "none"
# Option to what it keeps ops in.
KEPT: dict[str, Kept] = {"keep_float": "float32", "keep_int16": "int16"}
HELD_BACK_COUNT = 100


def add_quantization(parser: argparse.ArgumentParser) -> None:
    """Add the options of calibration and quantisation."""
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        default=DEFAULT_RECIPE,
        help=f"one of {', '.join(recipe_names())}; default: %(default)s",
    )
    parser.add_argument(
        "--calibrator", choices=tuple(CALIBRATORS), help="of the ranges; default: the recipe's"
    )
    parser.add_argument(
        "--repairs",
        metavar="NAMES",
        type=_repairs,
        help=f"of the float model's weights, with commas between: {', '.join(REPAIRS)}; or "
        f"{NO_REPAIRS}; default: the recipe's",
    )
    for option, precision in KEPT.items():
        parser.add_argument(
            f"--{option.replace('_', '-')}",
            metavar="REGEX",
            action="append",
            default=[],
            type=_pattern,
            help=f"keep the ops {precision} that write a tensor of such a name; may be repeated",
        )
    parser.add_argument(
        "--count",
        metavar="N",
        type=positive,
        help="calibration images; default: 100, or what a small folder can spare",
    )
    parser.add_argument(
        "--quantile",
        metavar="RATIO",
        type=partial(number, most=1.0),
        default=QUANTILE,
        help="of an autoencoder: share of the calibration images below the threshold of an "
        "anomaly; default: %(default)s",
    )
    add_seed(parser)


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the seed of the draws of images."""
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: %(default)s")


def draw(arguments: argparse.Namespace, *, most: int | None = None) -> ImageSet:
    """Return the images to calibrate with, or to fit to.

    Args:
        arguments: Of the command line.
        most: Where the user named no count; a folder of fewer gives all that it has.

    Raises:
        SourceError: There are none, or too few.
    """
    from calibration import dataset  # noqa: PLC0415 - inspect needs no OpenCV

    folder, count, seed = arguments.images, arguments.count, arguments.seed
    with bar("draw") as progress:
        if count is None and most is not None:
            return dataset.draw(folder, count=most, seed=seed, progress=progress)
        return dataset.sample(folder, count=count, seed=seed, progress=progress)


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that was chosen, changed as the options say.

    Raises:
        ConfigError: There is none of that name, or it has not what an option changes.
    """
    recipe = load_recipe(arguments.recipe)
    if arguments.calibrator is not None or arguments.repairs is not None:
        recipe = with_ranges(recipe, calibrator=arguments.calibrator, repairs=arguments.repairs)
    for option, precision in KEPT.items():
        if patterns := tuple(getattr(arguments, option)):
            recipe = with_kept_ops(recipe, Selection(names=patterns), precision=precision)
    return recipe


def add_judgement(parser: argparse.ArgumentParser, *, report: bool) -> None:
    """Add the options of the comparison with the float model; `report` is the default of one."""
    # The detectors' is the one that most tasks have.
    usual = KINDS["detection"].times
    others = [f"{kind.times:g} for {task}" for task, kind in KINDS.items() if kind.times != usual]
    parser.add_argument("--images", metavar="DIR", type=Path, required=True)
    parser.add_argument(
        "--annotations",
        metavar="FILE|DIR",
        type=Path,
        help="judge by labels: a COCO file; or a folder of VOC XML, YOLO text, PNG masks, or of "
        "the images in a folder for each class",
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
        type=partial(number, least=math.ulp(0.0)),
        help="how far int8 may see otherwise than float, times what a quarter of a pixel makes of "
        f"the float model; default: {', '.join([f'{usual:g}', *others])}",
    )
    parser.add_argument(
        "--max-loss",
        metavar="RATIO",
        type=partial(number, most=1.0),
        default=ACCURACY_LOSS,
        help="of mAP50-95, mIoU, top-1 or what else judges the task, what int8 may lose, with "
        "labels; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="the bill as JSON")
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=report,
        help="tables and pictures in a folder beside the model, o.report beside o.tflite; "
        f"default: {'yes' if report else 'no'}",
    )


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


def number(text: str, *, least: float = 0.0, most: float = math.inf) -> float:
    """Return a number of the command line within two bounds."""
    value = float(text)
    if not least <= value <= most:
        wanted = f"from {least:g} to {most:g}" if most < math.inf else "above 0"
        raise argparse.ArgumentTypeError(f"expected a number {wanted}, found {text}")
    return value


def _repairs(text: str) -> tuple[Repair, ...]:
    """Return the repairs in the order in which they are done, whatever that of the words."""
    words = () if text == NO_REPAIRS else tuple(text.split(","))
    unknown = [word for word in words if word not in REPAIRS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected {NO_REPAIRS}, or some of {', '.join(REPAIRS)} with commas between, found "
            f"{unknown[0]!r}"
        )
    return tuple(repair for repair in REPAIRS if repair in words)


def _pattern(text: str) -> str:
    try:
        check_patterns((text,))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
