"""The options of `edge-convert` that describe a foreign model, and what they say."""

from __future__ import annotations

import argparse
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.choice import RANGES, Choice, InputChoice, Origin
from edge.errors import ConfigError, ModelError
from edge.evaluation.label_files import MAX_CLASSES, YAML_SUFFIXES, read_names
from edge.terminal.command import numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS, BOX_SIDES = 3, 4
# Options whose value may begin with a minus sign, which argparse takes for another option.
SIGNED = ("--range", "--mean")
# A line of a file of labels that begins with the label's id.
WITH_ID = re.compile(r"(\d{1,6})\s*[:,;\s]\s*(\S.*)")
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
        "--activation",
        choices=("softmax", "sigmoid"),
        help="what makes likelihoods of a classifier's raw scores: one class an image, or any",
    )
    parser.add_argument(
        "--anchors",
        metavar="TEXT",
        help="a file, or for YOLO width,height in pixels, finest grid first: '10,14 23,27 / 81,82'",
    )
    parser.add_argument(
        "--box-scales",
        metavar="Y,X,H,W",
        type=partial(numbers, counts=(BOX_SIDES,), above=0),
        help="divisors of an SSD's raw boxes, such as 10,10,5,5",
    )
    _add_input(parser.add_argument_group("input, which you must say where the file does not"))


def _add_input(group: Any) -> None:  # noqa: ANN401 - argparse keeps the type of a group to itself
    group.add_argument("--input", choices=("rgb", "bgr"), help="channel order")
    group.add_argument(
        "--range", choices=tuple(RANGES), help="what pixel values 0..255 become, all channels alike"
    )
    group.add_argument("--mean", metavar="M", type=numbers, help="pixel values, 1 or 3: R,G,B")
    group.add_argument("--std", metavar="S", type=partial(numbers, above=0), help="likewise")
    group.add_argument("--resize", choices=("letterbox", "stretch"), help="keep the aspect or not")
    group.add_argument(
        "--size", metavar="WxH", type=_size_wh, help="pixels, where the model takes any size"
    )


def choice_of(arguments: argparse.Namespace) -> Choice:
    """Return what the options say of the model.

    Raises:
        ConfigError: They contradict each other, or say half.
    """
    mean, std = arguments.mean, arguments.std
    if arguments.range and (mean or std):
        raise ConfigError("--range says mean and std already; give --range, or --mean and --std")
    if (mean is None) != (std is None):
        given, other = ("--mean", "--std") if mean else ("--std", "--mean")
        raise ConfigError(f"{given} needs {other} beside it; give both, in pixel values")
    if arguments.range:
        mean, std = ((value,) * CHANNELS for value in RANGES[arguments.range])
    return Choice(
        input=InputChoice(arguments.input, mean, std, arguments.resize, arguments.size),
        weights=arguments.weights,
        output=arguments.output_name,
        activation=arguments.activation,
        anchors=arguments.anchors,
        box_scales=arguments.box_scales,
    )


def origin_of(arguments: argparse.Namespace, *, name: str | None) -> Origin:
    """Return what the options say of the weights."""
    return Origin(
        name=arguments.name or name,
        source=arguments.source,
        license=arguments.license,
        labels=read_labels(arguments.labels) if arguments.labels else None,
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels in a text file, one a line; an empty line keeps an unused id.

    Lines such as `0 bus`, `0: bus` or `0,bus`, all of them and their ids rising, say each label's
    id; a YAML is read as a YOLO data set's.

    Raises:
        ModelError: The file cannot be read, or is no text.
        SourceError: A YAML has no `names`.
    """
    if path.suffix in YAML_SUFFIXES:
        return read_names(path)
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: expected a text file with one label a line, which cannot be read: {error}"
        ) from error
    rows = [WITH_ID.fullmatch(line) for line in lines if line]
    by_id = {int(row[1]): row[2] for row in rows if row}
    is_rising = len(by_id) == len(rows) and list(by_id) == sorted(by_id)
    if not by_id or not is_rising or min(by_id) > 1 or max(by_id) >= MAX_CLASSES:
        return tuple(lines)
    return tuple(by_id.get(number, "") for number in range(max(by_id) + 1))


def _size_wh(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected pixels such as 320x256, found {text!r}")
    return int(found[1]), int(found[2])
