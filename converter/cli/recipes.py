"""The options of `edge-convert` that say how to quantise: a recipe, and what to change in it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

from calibration.calibrators import CALIBRATORS
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
from edge.terminal.command import positive

if TYPE_CHECKING:
    from converter.quantize.recipe import Kept, Recipe

REPAIRS: tuple[Repair, ...] = get_args(Repair)
NO_REPAIRS = "none"
# Option to what it keeps ops in.
KEPT: dict[str, Kept] = {"keep_float": "float32", "keep_int16": "int16"}


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
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: %(default)s")


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe that was chosen, changed as the options say.

    Raises:
        ConfigError: There is none of that name, or it has not what an option changes.
    """
    recipe = load_recipe(arguments.recipe)
    if arguments.calibrator is not None or arguments.repairs is not None:
        recipe = with_ranges(recipe, calibrator=arguments.calibrator, repairs=arguments.repairs)
    for option, precision in KEPT.items():
        patterns = tuple(getattr(arguments, option))
        if patterns:
            recipe = with_kept_ops(recipe, Selection(names=patterns), precision=precision)
    return recipe


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
