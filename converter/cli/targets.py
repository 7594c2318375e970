"""The `export` verb of `edge-convert`, and the options that ask for other accelerators' files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter import export
from converter.cli import making
from edge.errors import ConfigError
from edge.model import model_file
from edge.terminal.command import DONE, FAILED, add_verb, positive

if TYPE_CHECKING:
    import argparse


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options that name targets."""
    group = parser.add_argument_group("other accelerators, files STEM.* beside the model")
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
        help="make STEM.qdq.onnx (int8) and STEM.fp16.onnx of the float model and the images, for "
        "a GPU; each is judged as the int8 model is; needs pip install 'edge-vision[onnx]'",
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
        "--count", metavar="N", type=positive, help="of them to observe ranges on; the others judge"
    )
    making.add_seed(parser)
    parser.add_argument(
        "-o", "--output", metavar="STEM", type=Path, help="default: MODEL without its suffix"
    )


def targets_of(arguments: argparse.Namespace) -> list[str]:
    """Return which files are asked for, by their options."""
    return [name for name in ("edgetpu", "gpu", "tensorrt") if getattr(arguments, name)]


def check_packages(arguments: argparse.Namespace) -> None:
    """Refuse files for which a package is missing, before the minutes of work.

    Raises:
        DependencyError: One is.
    """
    targets = targets_of(arguments)
    if targets:
        # Loads both runtimes.
        from converter.deliver.targets import delivery  # noqa: PLC0415

        delivery.check_packages(targets)


def _export(arguments: argparse.Namespace) -> int:
    from converter.conversion import draw_images  # noqa: PLC0415 - loads OpenCV
    from converter.deliver.targets.delivery import check, deliver, sources_of, stem_of  # noqa: PLC0415 - loads OpenCV

    targets = targets_of(arguments)
    if not targets:
        raise ConfigError("expected what to make, found nothing; add --edgetpu, --gpu, --tensorrt")
    file = model_file.read_own(arguments.model)
    stem, status = arguments.output or stem_of(arguments.model), DONE
    export.check_folder(stem)
    check(sources_of(file, None), targets, has_images=arguments.images is not None)
    images = None
    if "tensorrt" in targets and arguments.images:
        images = draw_images(
            arguments.images,
            calibration_count=arguments.count,
            seed=arguments.seed,
            annotations=None,
        )
    for made in deliver(sources_of(file, images), targets, stem=stem):
        print(made.text)
        status = FAILED if made.is_refused else status
    return status
