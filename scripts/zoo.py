"""Run a zoo of models as their tools write them, and say how each described itself.

Per model: what described it, which options a person had to give, and whether it sees what it must
on one image (boxes with IoU >= 0.9, masks with IoU >= 0.98, scores within 0.03). Nets are made here
(`tests/support/zoo_entries.py`); those of the development assets run as well where they are.
Exit status 1: a model saw something else, or under 95 % of the made ones ran without an option.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]

import zoo_models as zoo  # noqa: E402
from zoo_entries import entries  # noqa: E402

from edge.errors import EdgeError, ModelError  # noqa: E402
from edge.model import model_file  # noqa: E402
from edge.model.loaded import load_model  # noqa: E402
from edge.model.readers.inference import Undescribed  # noqa: E402
from edge.results.detections import pairwise_iou  # noqa: E402
from edge.terminal import table  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile

LEAST_SHARE = 0.95
BOX_IOU, MASK_IOU, SCORE_OFF = 0.9, 0.98, 0.03
# Models of the assets that describe themselves, an image, and what it shows.
REAL = {
    "coral/mobilenet_v1_0.25_128_quant.tflite": ("images/coral/cat.bmp", "cat"),
    "coral/mobilenet_v2_1.0_224_quant.tflite": ("images/coral/cat.bmp", "cat"),
    "coral/tf2_mobilenet_v2_1.0_224_ptq.tflite": ("images/coral/cat.bmp", "cat"),
}


@dataclass
class Row:
    """What became of one model.

    Attributes:
        name: Of it.
        source: What described it.
        options: What had to be given, in words; empty if nothing.
        reached: Whether it saw what it must; `None` where that is not known.
    """

    name: str
    source: str
    options: str = ""
    reached: bool | None = None
    fault: str = ""


def run_made(entry: zoo.Entry, folder: Path) -> Row:
    """Run a made model, its questions answered where it has some."""
    path = folder / "zoo.tflite"
    path.write_bytes(entry.data())
    try:
        file, options = read(path, entry.answers)
        reached = sees(file, entry)
    except EdgeError as error:
        return Row(entry.name, "refused", "", reached=False, fault=str(error))
    return Row(entry.name, file.read_by, options, reached=reached)


def read(path: Path, answers: dict[str, str]) -> tuple[ModelFile, str]:
    """Return a model, and the keys that were asked and answered."""
    try:
        return model_file.read(path), ""
    except Undescribed as error:
        written = path.with_suffix(".toml")
        keys = re.findall(r'^(\w+) = "\?"', error.draft, re.MULTILINE)
        if sorted(keys) != sorted(answers):
            raise ModelError(f"asked for {keys}: {error}") from error
        text = error.draft
        for key, value in answers.items():
            text = re.sub(rf'^{key} = "\?"', f"{key} = {value}", text, flags=re.MULTILINE)
        written.write_text(text, encoding="utf-8")
        return model_file.read(path, description=written), f"asked for {', '.join(keys)}"


def sees(file: ModelFile, entry: zoo.Entry) -> bool:
    """Return whether a model sees on the frame what it must."""
    model = load_model(file).with_thresholds(score=0.3 if entry.sees != "classes" else 0.01)
    seen, truth = model(zoo.FRAME), entry.truth
    if entry.sees == "classes":
        scores = dict(zip(seen.class_ids.tolist(), seen.scores.tolist(), strict=True))
        return all(abs(scores.get(n, 0) - s) <= SCORE_OFF for n, s in enumerate(zoo.SCORES))
    if entry.sees == "map":
        ids = seen.class_ids
        wanted = np.where(np.arange(ids.shape[1]) < ids.shape[1] // 2, 0, 2)
        return mask_iou(ids == 0, np.broadcast_to(wanted == 0, ids.shape)) >= MASK_IOU
    return sees_box(seen, truth) and sees_beside(seen, entry)


def sees_box(seen: Any, truth: zoo.Truth) -> bool:  # noqa: ANN401 - any result with boxes
    """Return whether the one object is where and what it is."""
    right = len(seen.scores) == 1 and seen.class_ids[0] == zoo.CLASS
    near = right and abs(seen.scores[0] - zoo.SCORE) <= SCORE_OFF
    return bool(near and pairwise_iou(seen.boxes, np.array([truth.box()]))[0, 0] >= BOX_IOU)


def sees_beside(seen: Any, entry: zoo.Entry) -> bool:  # noqa: ANN401 - any result with boxes
    """Return whether a box's mask is its left half, and all its points are in its middle."""
    left, top, right, bottom = entry.truth.box()
    if entry.sees == "masks":
        cells = seen.masks[0].cells
        wanted = np.arange(cells.shape[1]) < cells.shape[1] // 2
        return mask_iou(cells, np.broadcast_to(wanted, cells.shape)) >= MASK_IOU
    if entry.sees == "points":
        middle = (left + right) / 2, (top + bottom) / 2
        return bool((np.abs(seen.points[0, :, :2] - middle) < 1).all())
    return True


def mask_iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks."""
    return float((first & second).sum() / max(1, (first | second).sum()))


def run_real(path: Path, assets: Path) -> Row:
    """Run a model of the assets as it stands."""
    name = "/".join(path.parts[-2:])
    try:
        file = model_file.read(path)
        image, shown = REAL.get(name, ("", ""))
        if not image:
            load_model(file)
            return Row(name, file.read_by)
        best = load_model(file).with_thresholds(score=0)(cv2.imread(str(assets / image)))
        label = file.description.labels[int(best.class_ids[0])]
    except Undescribed as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        return Row(name, "nothing", "; ".join(line.split(" = ")[0] for line in lines),
                   fault="\n  ".join(str(error).splitlines()))  # fmt: skip
    except EdgeError as error:
        return Row(name, "refused", str(error).removeprefix(f"{path}: ")[:60])
    return Row(name, file.read_by, reached=shown in label)


def report(made: list[Row], real: list[Row]) -> int:
    """Print both halves and their shares; return the exit status."""
    words = {True: "yes", False: "NO", None: "-"}
    rows = [[row.name, row.source, row.options, words[row.reached]] for row in made + real]
    print(table.render(["model", "described by", "options", "golden"], rows))
    for row in made + real:
        if row.fault:
            print(f"\n{row.name}\n  {row.fault}")
    alone = [row for row in made if not row.options and row.reached]
    wrong = [row for row in made + real if not row.options and row.reached is False
             and row.source != "refused"]  # fmt: skip
    failed = [row for row in made if not row.reached]
    share = len(alone) / len(made)
    print(f"\n{len(made)} made: {len(alone)} ran without an option and saw what they must "
          f"({share:.1%}); {sum(bool(row.options) for row in made)} asked and then did; "
          f"{len(real)} real: {sum(not row.options for row in real)} ran, the others asked or were "
          f"refused\nsilently wrong: {len(wrong)}")  # fmt: skip
    return int(bool(wrong or failed or share < LEAST_SHARE))


def main() -> int:
    """Run the zoo."""
    parser = argparse.ArgumentParser(description=__doc__, prog="scripts/zoo")
    parser.add_argument("--assets", type=Path, help="run the models of this folder as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = [run_made(entry, Path(folder)) for entry in entries()]
    models = sorted(arguments.assets.glob("models/*/*.tflite")) if arguments.assets else []
    return report(made, [run_real(path, arguments.assets) for path in models])


if __name__ == "__main__":
    sys.exit(main())
