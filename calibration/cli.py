"""The `edge-calibrate` command: draw images, observe a model's ranges on them, show the result."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration import image_list, store
from calibration.calibrators import CALIBRATORS, LEVELS
from calibration.dataset import MOST_CALIBRATE, sample
from edge.errors import ConfigError
from edge.model import model_file
from edge.model.description import InputTransform
from edge.model.readers import manifest
from edge.terminal.command import add_verb, new_parser, numbers, positive, run
from edge.terminal.progress import bar
from edge.terminal.table import render
from edge.terminal.version import versions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from calibration.dataset import ImageSet
    from calibration.ranges import Range

INT8_MIN = -128
NAME_COLUMNS = 60
TRANSFORM_FLAGS = ("color", "mean", "std", "resize")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    return run(new_command(), argv)


def new_command() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = new_parser(
        "edge-calibrate",
        "Find the range of values that each tensor of a float model takes on images.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_sample(verbs)
    _add_observe(verbs)
    _add_show(verbs)
    return parser


def _add_draw(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", metavar="N", type=positive, help=f"default: {MOST_CALIBRATE}, or all of fewer"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="default: %(default)s")


def _add_sample(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "sample",
        "Draw images from a folder, without duplicates.",
        run=_sample,
        examples=["edge-calibrate sample photos/ --count 100 --seed 1 -o list.json"],
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="searched with its subfolders")
    _add_draw(parser)
    parser.add_argument(
        "-o", "--output", metavar="LIST", type=Path, help="write the list here, not on stdout"
    )


def _add_observe(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "observe",
        "Run a float model on images and collect its ranges.",
        run=_observe,
        examples=[
            "edge-calibrate observe float.tflite --images photos -o ranges.json",
            "edge-calibrate observe float.tflite --list list.json --calibrator mse -o ranges.json",
        ],
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a float .tflite")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--images", metavar="DIR", type=Path, help="draw --count images from it")
    which.add_argument("--list", metavar="LIST", type=Path, help="of edge-calibrate sample")
    _add_draw(parser)
    parser.add_argument("--calibrator", choices=tuple(CALIBRATORS), default="minmax")
    parser.add_argument("--threads", metavar="N", type=positive, default=1)
    parser.add_argument("-o", "--output", metavar="RANGES", type=Path, required=True)
    group = parser.add_argument_group("input transform, for a model without a manifest")
    group.add_argument("--color", choices=("rgb", "bgr", "grey"), help="channels of the model")
    group.add_argument("--mean", metavar="M[,M,M]", type=numbers, help="pixel values, 0..255")
    group.add_argument(
        "--std", metavar="S[,S,S]", type=partial(numbers, above=0), help="pixel values"
    )
    group.add_argument("--resize", choices=("letterbox", "stretch"))


def _add_show(verbs: Any) -> None:  # noqa: ANN401
    parser = add_verb(
        verbs,
        "show",
        "Show ranges, and the quantisation they lead to.",
        run=_show,
        examples=["edge-calibrate show ranges.json"],
    )
    parser.add_argument("ranges", metavar="RANGES", type=Path, help="of edge-calibrate observe")
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def _sample(arguments: argparse.Namespace) -> None:
    images = _draw(arguments.folder, arguments)
    if arguments.output:
        image_list.write(arguments.output, images)
        print(f"{arguments.output}: {len(images.paths)} images, {images.digest}")
    else:
        print(json.dumps(image_list.to_list(images).plain(), indent=1, ensure_ascii=False))


def _draw(folder: Path, arguments: argparse.Namespace) -> ImageSet:
    with bar("draw") as progress:
        return sample(folder, count=arguments.count, seed=arguments.seed, progress=progress)


def _observe(arguments: argparse.Namespace) -> None:
    from calibration.observe import observe  # noqa: PLC0415 - show and sample need no LiteRT

    flatbuffer, transform = _model(arguments)
    images = (
        image_list.read(arguments.list) if arguments.list else _draw(arguments.images, arguments)
    )
    with bar("observe") as progress:
        ranges = observe(
            flatbuffer,
            images,
            transform,
            calibrator=arguments.calibrator,
            threads=arguments.threads,
            progress=progress,
        )
    content = store.RangesFile(
        model_digest=manifest.digest_of(flatbuffer),
        images_digest=images.digest,
        images=len(images.paths),
        seed=images.seed,
        calibrator=arguments.calibrator,
        transform=transform,
        tools=_tools(),
        ranges={name: (found.min, found.max) for name, found in ranges.items()},
    )
    store.write(arguments.output, content)
    print(f"{arguments.output}: ranges of {len(ranges)} tensors from {len(images.paths)} images")


def _model(arguments: argparse.Namespace) -> tuple[bytes, InputTransform]:
    """Return the bare model and its input transform, from its manifest or else from the flags."""
    given = [name for name in TRANSFORM_FLAGS if getattr(arguments, name) is not None]
    path = arguments.model
    if _is_bare(path):
        return _bare_model(arguments, given)
    if path.is_file() and given:
        raise ConfigError(
            f"{path}: its manifest says how its input is made; leave out --{' --'.join(given)}"
        )
    file = model_file.read(path)
    return file.flatbuffer, file.description.input


def _is_bare(path: Path) -> bool:
    """Return whether the file is a model without a manifest; any other is for `model_file.read`."""
    try:
        with path.open("rb") as file:
            identifier = file.read(8)[4:]
    except OSError:
        return False
    return identifier == model_file.FLATBUFFER_IDENTIFIER and not _has_manifest(path)


def _has_manifest(path: Path) -> bool:
    # TensorFlow's own metadata is a zip behind the model as well, with other members.
    try:
        with zipfile.ZipFile(path) as archive:
            return manifest.MANIFEST_MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _bare_model(
    arguments: argparse.Namespace, given: Sequence[str]
) -> tuple[bytes, InputTransform]:
    from calibration.observe import input_size_wh  # noqa: PLC0415 - show and sample need no LiteRT

    path = arguments.model
    flatbuffer = path.read_bytes()
    missing = [name for name in TRANSFORM_FLAGS if name not in given]
    if missing:
        raise ConfigError(
            f"{path}: it has no manifest that says how its input is made; add "
            f"--{' --'.join(missing)}, as in: --color rgb --mean 127.5 --std 127.5 --resize stretch"
        )
    if min(arguments.std) <= 0:
        raise ConfigError(f"--std must be above 0, found {min(arguments.std):g}; did you mean 1?")
    transform = InputTransform(
        size_wh=input_size_wh(flatbuffer, path),
        color=arguments.color,
        mean=arguments.mean,
        std=arguments.std,
        resize=arguments.resize,
    )
    return flatbuffer, transform


def _tools() -> dict[str, str]:
    from edge.model.backends.litert import runtime_name  # noqa: PLC0415 - show and sample need no LiteRT

    return versions(("edge-vision", "numpy", runtime_name().replace("_", "-")))


def _show(arguments: argparse.Namespace) -> None:
    content = store.read(arguments.ranges)
    if arguments.json:
        print(json.dumps(content.plain(), indent=1, ensure_ascii=False))
        return
    print(f"model       {content.model_digest}")
    print(f"images      {content.images}, seed {content.seed}, {content.images_digest}")
    print(f"calibrator  {content.calibrator}\n")
    rows = [_row(name, found) for name, found in content.by_tensor().items()]
    print(render(("tensor", "min", "max", "scale", "zero point"), rows))


def _row(name: str, found: Range) -> tuple[str, float, float, float, int]:
    span = found.with_zero()
    scale = (span.max - span.min) / (LEVELS - 1)
    zero_point = round(-span.min / scale) + INT8_MIN if scale else 0
    low, high, step = (float(f"{value:.5g}") for value in (found.min, found.max, scale))
    return (_shortened(name), low, high, step, zero_point)


def _shortened(name: str) -> str:
    # A converter joins the names of all the layers that it fused; the last says most.
    return name if len(name) <= NAME_COLUMNS else "…" + name[1 - NAME_COLUMNS :]
