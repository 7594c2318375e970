"""The `export` verb of `edge-convert`, and the options that ask for other accelerators' files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.cli import making
from edge.errors import ConfigError
from edge.model import model_file
from edge.terminal.command import DONE, add_verb, positive

if TYPE_CHECKING:
    import argparse

    from converter.conversion import Conversion
    from converter.deliver.targets.delivery import Made


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options that name targets."""
    group = parser.add_argument_group("other accelerators", "Files beside the model, STEM.*:")
    group.add_argument(
        "--edgetpu",
        action="store_true",
        help="say which ops of the int8 model the Edge TPU takes, and make STEM.edgetpu.tflite; "
        "needs edgetpu_compiler on the PATH; --recipe int8_tflite_converter suits it best",
    )
    group.add_argument(
        "--gpu",
        action="store_true",
        help="make STEM.gpu.tflite of the float model: float16, static shapes",
    )
    group.add_argument(
        "--tensorrt",
        action="store_true",
        help="make STEM.qdq.onnx of the float model and the images, for a Jetson; "
        "needs pip install 'edge-vision[onnx]'",
    )


def add_export(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps its type to itself
    """Add the verb."""
    parser = add_verb(
        verbs,
        "export",
        "Make files for an Edge TPU, a GPU or TensorRT of a model of ours.",
        run=_export,
        examples=[
            "edge-convert export my.tflite --edgetpu",
            "edge-convert export my-float.tflite --gpu --tensorrt --images photos",
        ],
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        type=Path,
        help="the int8 .tflite for --edgetpu, the float one for --gpu and --tensorrt",
    )
    add_targets(parser)
    parser.add_argument("--images", metavar="DIR", type=Path, help="for --tensorrt")
    parser.add_argument(
        "--count", metavar="N", type=positive, help="of them; default: 100, or all of fewer"
    )
    making.add_seed(parser)
    parser.add_argument(
        "-o", "--output", metavar="STEM", type=Path, help="default: MODEL without its suffix"
    )


def targets_of(arguments: argparse.Namespace) -> list[str]:
    """Return which files are asked for, by their options.

    Raises:
        DependencyError: A package is missing for one.
    """
    wanted = [name for name in ("edgetpu", "gpu", "tensorrt") if getattr(arguments, name)]
    if wanted:
        # Loads both runtimes.
        from converter.deliver.targets.delivery import check_packages  # noqa: PLC0415

        check_packages(wanted)
    return wanted


def _export(arguments: argparse.Namespace) -> int:
    from converter.deliver.targets.delivery import deliver, sources_of, stem_of  # noqa: PLC0415 - loads OpenCV

    targets = targets_of(arguments)
    if not targets:
        raise ConfigError("expected what to make, found nothing; add --edgetpu, --gpu, --tensorrt")
    file = model_file.read(arguments.model)
    images = making.draw(arguments) if "tensorrt" in targets and arguments.images else None
    stem = arguments.output or stem_of(arguments.model)
    for made in deliver(sources_of(file, images), targets, stem=stem):
        print(made.text)
    return DONE


def deliver_conversion(arguments: argparse.Namespace, done: Conversion) -> list[Made]:
    """Make what is asked for beside a converted model; nothing of a rejected one.

    Returns:
        Those of which there is a file.
    """
    targets = targets_of(arguments)
    if not targets:
        return []
    if done.verdict.is_refused:
        sys.stderr.write("edge-convert: no other files are made of a model that is rejected\n")
        return []
    from converter.deliver.targets.delivery import Sources, deliver, stem_of  # noqa: PLC0415 - as above

    images = done.sets.calibrate if done.sets else None
    sources = Sources(done.reference, done.quantized, images, done.judgement.images)
    stem = stem_of(arguments.output)
    made = []
    for one in deliver(sources, targets, stem=stem):
        print(one.text, file=sys.stderr if arguments.json else sys.stdout)
        made.append(one)
    return [one for one in made if one.path]
