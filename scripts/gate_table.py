"""Refit the gate: real models, good and damaged, by their distance and by their true loss.

Each model of `scripts/accuracy_entries.py` is converted in several good ways and damaged in others.
Each variant is judged without labels, as `edge-convert run` would, and its true loss is measured
beside: of detectors in points of mAP50-95 against COCO's boxes, on all images that calibrated
nothing; of portrait nets, for which there are no masks here, in points of mean IoU with the float
masks of the other portrait nets. Then the tolerance is fitted to all models but one, and that one
is judged by it. Needs the `converter` extra and the development assets. Figures are kept in
`.cache/gate`: a second run prints at once. Exit status 1: a good variant is refused, or one that
was damaged and does lose is let through.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from accuracy_entries import ENTRIES, INSTANCES, options_of  # noqa: E402
from accuracy_page import write_between  # noqa: E402
from accuracy_table import find_assets  # noqa: E402
from gate_variants import Variant, variants  # noqa: E402

from calibration.image_sets import draw_sets  # noqa: E402
from converter import export  # noqa: E402
from converter.cli import options  # noqa: E402
from converter.cli.command import new_command  # noqa: E402
from converter.importing import import_model  # noqa: E402
from converter.judge import accuracy  # noqa: E402
from converter.judge.accuracy import Annotations  # noqa: E402
from converter.judge.bill import Bill, Likeness  # noqa: E402
from converter.judge.gate import LEAST_FLOOR, REFUSED, Budget, judge  # noqa: E402
from converter.judge.sight import DIAGONALS, Sight, Views  # noqa: E402
from converter.judge.verify import compare  # noqa: E402
from edge.capture.images import load_image  # noqa: E402
from edge.evaluation.mask_run import PixelSample, pixel_confusion  # noqa: E402
from edge.model import model_file  # noqa: E402

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile

CACHE = ROOT / ".cache" / "gate"
RESAMPLES = 300
# Points of mAP50-95 or mean IoU: what is lost by a good conversion at most, by a bad one at least.
FINE, BAD = 1.2, 1.3


def main() -> int:
    """Measure what is not kept, and print the tables."""
    arguments = _parser().parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name in ENTRIES:
        kept = CACHE / f"{name}.json"
        if not kept.is_file() and name in (arguments.only or ENTRIES) and not arguments.stored:
            print(f"gate_table: {name} …", file=sys.stderr)
            kept.write_text(json.dumps(_measure(name, find_assets()), indent=1))
        if kept.is_file():
            rows += json.loads(kept.read_text())
    refused, passed = _mistakes(rows)
    counts = [
        f"{what}: {len(names)}{' (' * bool(names)}{'; '.join(names)}{')' * bool(names)}."
        for what, names in (("Good ones refused", refused), ("Bad ones let through", passed))
    ]
    text = "\n".join([_table(rows), "", *counts, _slope(rows), _held_back(rows)])
    print(text)
    if arguments.write:
        write_between(arguments.write, text, script="gate_table")
    return int(bool(refused or passed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/gate_table", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=tuple(ENTRIES))
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/accuracy.md")
    parser.add_argument("--stored", action="store_true", help="tabulate what was kept, no more")
    return parser


def _float(name: str, assets: Path) -> tuple[ModelFile, argparse.Namespace]:
    """Return one model imported, from the cache where it lies there, and how it was asked for."""
    line = ["run", *options_of(ENTRIES[name], assets, CACHE), "-o", "unused.tflite"]
    words = new_command().parse_args(options.join_signed(line))
    path = CACHE / f"{name}.float.tflite"
    if not path.is_file():
        origin = options.origin_of(words, name=name)
        choice = options.choice_of(words)
        export.write(
            import_model(words.model, family=words.family, origin=origin, choice=choice), path
        )
    return model_file.read(path), words


def _measure(name: str, assets: Path) -> list[dict[str, Any]]:
    """Return a row for each variant of one model."""
    reference, words = _float(name, assets)
    sets = draw_sets(words.images, seed=0)
    made = list(variants(reference, sets.calibrate, stem=CACHE / name))
    views = [Views(file) for file in (reference, *(each.file for each in made))]
    for view in views:
        view.add(sets.judge.paths)
    views[0].move(len(DIAGONALS))
    bills = compare(views[0], views[1:], resamples=RESAMPLES)
    unused = (*sets.select.paths, *sets.judge.paths)
    is_mask = not ENTRIES[name].labelled
    losses = _losses(reference, made, unused, assets, is_mask=is_mask)
    return [
        {
            "model": name,
            "variant": each.name,
            "is_damaged": each.is_damaged,
            "is_mask": not ENTRIES[name].labelled,
            "distance": bill.likeness.distance,
            "floor": bill.likeness.floor,
            "objects": bill.likeness.objects,
            "draws": bill.likeness.draws.round(4).tolist(),
            "value": value,
            "loss": loss,
        }
        for each, bill, (value, loss) in zip(made, bills, losses, strict=True)
    ]


def _losses(
    reference: ModelFile,
    made: list[Variant],
    images: tuple[Path, ...],
    assets: Path,
    *,
    is_mask: bool,
) -> list[tuple[float, float]]:
    """Return the float model's figure and what each variant loses of it, points."""
    if is_mask:
        names = sorted(name for name, entry in ENTRIES.items() if not entry.labelled)
        teachers = [_float(name, assets)[0] for name in names]
        own = reference.description.digest
        others = [each for each in teachers if each.description.digest != own]
        before, *after = _mask_values([reference, *(each.file for each in made)], others, images)
        return [(before, 100 * (before - value)) for value in after]
    rows = accuracy.compare(
        reference, [each.file for each in made], images=images,
        annotations=Annotations(assets / INSTANCES), dataset="coco", seed=0, resamples=1,
    )  # fmt: skip
    return [(row[0].reference, -100 * row[0].difference) for row in rows]


def _mask_values(
    files: list[ModelFile], teachers: list[ModelFile], images: tuple[Path, ...]
) -> list[float]:
    """Return each model's mean IoU with the masks of the teachers, the mean over them."""
    masters, pupils = ([Sight(file) for file in each] for each in (teachers, files))
    tables = np.zeros((len(files), len(teachers), 2, 2), np.int64)
    for path in images:
        image = load_image(path)
        said = [sight.look(image).seen.class_ids for sight in pupils]
        for number, sight in enumerate(masters):
            true = sight.look(image).seen.class_ids
            for row, ids in zip(tables, said, strict=True):
                row[number] += pixel_confusion(true, ids, classes=2)
    return [float(np.mean([_mean_iou(table) for table in row])) for row in tables]


def _mean_iou(table: np.ndarray) -> float:
    return float(PixelSample.of(table[None]).values(np.array([0]))[0])


def _gate(row: dict[str, Any], tolerance: float | None = None) -> str:
    """Return the verdict without labels on a row, with the gate's tolerance or another."""
    head = "segmentation" if row["is_mask"] else "ssd"
    like = Likeness(row["distance"], row["floor"], row["objects"], np.array(row["draws"]))
    return judge(Bill(head, 0, 0, (), (), like), Budget(tolerance)).value


def _kind(row: dict[str, Any]) -> str:
    """Return `good` or `bad`; empty where neither can be told."""
    if not row["is_damaged"] and row["loss"] <= FINE:
        return "good"
    return "bad" if row["loss"] >= BAD else ""


def _mistakes(rows: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    named = [
        (f"{row['model']}: {row['variant']}", _kind(row), _gate(row) == REFUSED) for row in rows
    ]
    return (
        [name for name, kind, is_refused in named if kind == "good" and is_refused],
        [name for name, kind, is_refused in named if kind == "bad" and not is_refused],
    )


def _held_back(rows: list[dict[str, Any]]) -> str:
    """Return what a tolerance fitted to all models but one makes of that one."""
    lines = [
        "",
        "| held back | fitted to the others | good refused | bad let through |",
        "| --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        others = [
            row for row in rows if row["model"] != name and row["is_mask"] == own[0]["is_mask"]
        ]
        fitted = _fit(others)
        wrong = [
            sum(_kind(row) == kind and (_gate(row, fitted) == REFUSED) == is_refused for row in own)
            for kind, is_refused in (("good", True), ("bad", False))
        ]
        lines.append(f"| {name} | {fitted:.2f} | {wrong[0]} | {wrong[1]} |")
    return "\n".join(lines)


def _slope(rows: list[dict[str, Any]]) -> str:
    """Return which share of its mAP50-95 a detector loses for its distance, by least squares."""
    boxes = [row for row in rows if not row["is_mask"]]
    far = np.array([row["distance"] for row in boxes])
    lost = np.array([row["loss"] / 100 / row["value"] for row in boxes])
    slope = float(far @ lost / (far @ far))
    correlation = float(np.corrcoef(far, lost)[0, 1])
    return (
        f"A detector loses {slope:.2f} times its distance of its mAP50-95 (correlation "
        f"{correlation:.2f}, of {len(boxes)} variants)."
    )


def _fit(rows: list[dict[str, Any]]) -> float:
    """Return the tolerance with the fewest mistakes, in the middle of where they are fewest."""
    marked = [row for row in rows if _kind(row)]
    tries = np.arange(0.6, 5.0, 0.1)
    wrong = [
        sum((_gate(row, limit) == REFUSED) == (_kind(row) == "good") for row in marked)
        for limit in tries
    ]
    return float(np.median(tries[np.array(wrong) == min(wrong)]))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| model | variant | distance | noise floor | ratio [95 %] | gate | true loss, points |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        draws = np.array(row["draws"])
        floors = np.maximum([row["floor"], *draws[:, 1]], LEAST_FLOOR)
        ratios = np.array([row["distance"], *draws[:, 0]]) / floors
        low, high = np.percentile(ratios[1:], (2.5, 97.5))
        lines.append(
            f"| {row['model']} | {row['variant']} | {row['distance']:.3f} | {row['floor']:.3f} | "
            f"{ratios[0]:.2f} [{low:.2f}, {high:.2f}] | {_gate(row)} | {row['loss']:+.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
