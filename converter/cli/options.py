"""The options of `edge-convert` that describe a foreign model, and what they say."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.choice import RANGES, Choice, InputChoice, Origin
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS, BOX_SIDES = 3, 4
# Options whose value may begin with a minus sign, which argparse takes for another option.
SIGNED = ("--range", "--mean")
MODEL_HELP = (
    "a Keras .keras or .h5, a SavedModel folder, a frozen graph .pb, a TF.js model.json, "
    "a Darknet .cfg, an ONNX file, or a float .tflite"
)


def join_signed(argv: Sequence[str]) -> list[str]:
    """Return the arguments with `--range -1..1` as the one word `--range=-1..1`."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] in SIGNED and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the model is and where it comes from."""
    parser.add_argument("--weights", metavar="FILE", type=Path, help="of a Darknet .cfg")
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="one a line; default: the file's own, or COCO's where their number fits",
    )
    parser.add_argument("--output-name", metavar="NAME", help="of the output to keep, of several")
    parser.add_argument(
        "--anchors",
        metavar="TEXT",
        help="a file, or for YOLO width,height in pixels, finest grid first: '10,14 23,27 / 81,82'",
    )
    parser.add_argument(
        "--box-scales",
        metavar="Y,X,H,W",
        type=_box_scales,
        help="divisors of an SSD's raw boxes, such as 10,10,5,5",
    )
    _add_input(parser.add_argument_group("input", "Where the file does not say, you must."))


def _add_input(group: Any) -> None:  # noqa: ANN401 - argparse keeps the type of a group to itself
    group.add_argument("--input", choices=("rgb", "bgr"), help="channel order")
    group.add_argument(
        "--range", choices=tuple(RANGES), help="what pixel values 0..255 become, all channels alike"
    )
    group.add_argument("--mean", metavar="M", type=_triple, help="pixel values, 1 or 3: R,G,B")
    group.add_argument("--std", metavar="S", type=_positive_triple, help="likewise")
    group.add_argument("--resize", choices=("letterbox", "stretch"), help="keep the aspect or not")
    group.add_argument(
        "--size", metavar="WxH", type=_size_wh, help="pixels, where the model takes any size"
    )


def choice_of(arguments: argparse.Namespace) -> Choice:
    """Return what the options say of the model.

    Raises:
        ConfigError: They contradict each other, or say half.
    """
    return Choice(
        input=_input_choice(arguments),
        weights=arguments.weights,
        output=arguments.output_name,
        anchors=arguments.anchors,
        box_scales=arguments.box_scales,
    )


def origin_of(arguments: argparse.Namespace, *, name: str) -> Origin:
    """Return what the options say of the weights."""
    return Origin(
        name=arguments.name or name,
        source=arguments.source or f"{arguments.model.name}, origin not stated",
        license=arguments.license,
        labels=read_labels(arguments.labels) if arguments.labels else None,
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels in a text file, one a line; an empty line keeps an unused id.

    Raises:
        ModelError: The file cannot be read, or is no text.
    """
    try:
        return tuple(line.strip() for line in path.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: expected a text file with one label a line, which cannot be read: {error}"
        ) from error


def _input_choice(arguments: argparse.Namespace) -> InputChoice:
    mean, std = arguments.mean, arguments.std
    if arguments.range and (mean or std):
        raise ConfigError("--range says mean and std already; give --range, or --mean and --std")
    if (mean is None) != (std is None):
        given, other = ("--mean", "--std") if mean else ("--std", "--mean")
        raise ConfigError(f"{given} needs {other} beside it; give both, in pixel values")
    if arguments.range:
        mean, std = ((value,) * CHANNELS for value in RANGES[arguments.range])
    return InputChoice(
        color=arguments.input,
        mean=mean,
        std=std,
        resize=arguments.resize,
        size_wh=arguments.size,
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"expected numbers with commas between, found {text!r}")
    return numbers


def _triple(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) not in (1, CHANNELS):
        raise argparse.ArgumentTypeError(f"expected 1 or 3 numbers, found {len(numbers)}")
    return numbers if len(numbers) == CHANNELS else numbers * CHANNELS


def _positive_triple(text: str) -> tuple[float, ...]:
    numbers = _triple(text)
    if min(numbers) <= 0:
        raise argparse.ArgumentTypeError(f"expected numbers above 0, found {text!r}")
    return numbers


def _box_scales(text: str) -> tuple[float, ...]:
    numbers = _numbers(text)
    if len(numbers) != BOX_SIDES or min(numbers) <= 0:
        raise argparse.ArgumentTypeError(f"expected 4 numbers above 0, found {text!r}")
    return numbers


def _size_wh(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected pixels such as 320x256, found {text!r}")
    return int(found[1]), int(found[2])
