"""Print what recovery without labels gives back of what pruning took, beside a smaller input.

A net is cut by a lever of `edge-convert`, then trained to give what the whole one gives on the
same plain images, for so many minutes or steps; its rival is a smaller input for the same target.
Each is quantised and judged by COCO's boxes on images that none of this looked at, and their int8
models are timed in turn, without AMX tiles. Needs the `converter` extra and the development assets.
Models and figures are kept in `.cache/recovery`: a second run goes on where the first was, and
prints at once what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import pruning_table  # noqa: E402
from accuracy_entries import INSTANCES  # noqa: E402
from accuracy_page import write_between  # noqa: E402
from accuracy_table import find_assets  # noqa: E402
from pruning_page import GIGA, off  # noqa: E402
from without_amx import forbid_amx  # noqa: E402

from calibration.image_sets import draw_sets  # noqa: E402
from converter import export  # noqa: E402
from converter.judge import accuracy  # noqa: E402
from converter.judge.latency import measure  # noqa: E402
from converter.prune.choosing import BOTH, CHANNELS, INPUT, RANK  # noqa: E402
from converter.prune.levers import Levers  # noqa: E402
from converter.prune.measures import Target  # noqa: E402
from converter.prune.resizing import with_input  # noqa: E402
from converter.quantize.quantization import quantize_file  # noqa: E402
from converter.quantize.recipe import load_recipe  # noqa: E402
from edge.model import model_file  # noqa: E402

if TYPE_CHECKING:
    from calibration.image_sets import ImageSets
    from edge.model.model_file import ModelFile

CACHE = ROOT / ".cache" / "recovery"
NETS = ("yolov3_tiny", "ssdlite_mobilenet_v2")
MACS = 0.77
# Of 178 images: these prune, train and calibrate, 30 say when to stop, 74 judge.
CALIBRATE = 74
RESAMPLES = 300
POINTS = 100


def main() -> int:
    """Do what is not kept, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/recovery_table", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=NETS)
    parser.add_argument("--lever", choices=(CHANNELS, RANK, BOTH), default=CHANNELS)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--macs", metavar="RATIO", type=float, help=f"default: {MACS:g}")
    target.add_argument("--speedup", metavar="TIMES", type=float)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", metavar="M", type=float, default=30.0)
    length.add_argument("--steps", metavar="N", type=int)
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/pruning.md")
    parser.add_argument("--stored", action="store_true", help="tabulate what was kept, no more")
    arguments = parser.parse_args()
    forbid_amx()
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in () if arguments.stored else arguments.only or NETS:
        kept = CACHE / f"{_stem(name, arguments)}.json"
        if not kept.is_file():
            print(f"recovery_table: {kept.stem} …", file=sys.stderr, flush=True)
            kept.write_text(json.dumps(_result(name, arguments), indent=1))
    results = [json.loads(path.read_text()) for path in sorted(CACHE.glob("*.json"))]
    text = _text(results)
    print(text)
    if arguments.write:
        write_between(arguments.write, text, script="recovery_table")
    return 0


def _target(arguments: argparse.Namespace) -> Target:
    if arguments.speedup:
        return Target(arguments.speedup)
    return Target(macs=arguments.macs or MACS)


def _stem(name: str, arguments: argparse.Namespace) -> str:
    """Return what a run is kept as: the cut and how long it was trained."""
    length = f"{arguments.steps}steps" if arguments.steps else f"{arguments.minutes:g}min"
    return f"{name}.{arguments.lever}.{_asked(arguments)[0]}.{length}"


def _asked(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the target for a file's name, and for people."""
    if arguments.speedup:
        return f"{arguments.speedup:g}x", f"{arguments.speedup:g} x"
    ratio = arguments.macs or MACS
    return f"{ratio:g}macs", f"{ratio:g} of MACs"


def _pulled(
    whole: ModelFile, name: str, sets: ImageSets, arguments: argparse.Namespace, lever: str
) -> ModelFile:
    """Return the model that a lever makes for the target."""
    path = CACHE / f"{name}.{lever}.{_asked(arguments)[0]}.tflite"
    if not path.is_file():
        done, _ = Levers(whole, sets.calibrate.paths).pull(_target(arguments), lever=lever)
        export.write(done.file, path)
    return model_file.read_own(path)


def _recovered(
    whole: ModelFile, cut: ModelFile, sets: ImageSets, *, stem: str, arguments: argparse.Namespace
) -> tuple[ModelFile, dict[str, Any]]:
    from converter.train.recover import recover  # noqa: PLC0415 - TensorFlow, 3 s

    path, log = (CACHE / f"{stem}.recovered.{suffix}" for suffix in ("tflite", "txt"))
    folder = CACHE / f"{stem}.checkpoint"
    if not path.is_file():
        started = time.monotonic()
        size_wh = cut.description.input.size_wh
        is_same = whole.description.input.size_wh == size_wh
        done = recover(
            whole if is_same else with_input(whole, size_wh), cut, sets.calibrate.paths,
            select=sets.select.paths, minutes=arguments.minutes, steps=arguments.steps,
            folder=folder, resume=(folder / "checkpoint.npz").is_file(),
        )  # fmt: skip
        export.write(done.file, path)
        figures = {"before": done.before, "after": done.after, "steps": done.fitted.steps,
                   "best": done.fitted.best_step, "cpu_s": done.cpu_s,
                   "wall_s": time.monotonic() - started}  # fmt: skip
        log.write_text(json.dumps(figures))
    return model_file.read_own(path), json.loads(log.read_text())


def _result(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    assets = find_assets()
    sets = draw_sets(assets / "data/coco_train178/images", seed=0, calibrate=CALIBRATE)
    whole = pruning_table.whole_model(name)
    cut = _pulled(whole, name, sets, arguments, arguments.lever)
    small = _pulled(whole, name, sets, arguments, INPUT)
    stem = _stem(name, arguments)
    recovered, log = _recovered(whole, cut, sets, stem=stem, arguments=arguments)
    floats = {
        "whole": whole,
        f"{_asked(arguments)[1]}, {arguments.lever}{_size(cut, whole)}": cut,
        "and recovered": recovered,
        f"{_asked(arguments)[1]}, input{_size(small, whole)}": small,
    }
    made = {
        key: quantize_file(file, sets.calibrate, load_recipe("int8"))
        for key, file in floats.items()
    }
    rows = accuracy.compare(
        whole, [*floats.values(), *made.values()],
        images=sets.judge.paths, annotations=accuracy.Annotations(assets / INSTANCES),
        dataset="coco_train178", seed=0, resamples=RESAMPLES,
    )  # fmt: skip
    times = measure(made, clock=time.thread_time_ns)
    base_ms = times["whole"].median_ms
    return {
        "name": name,
        "log": log,
        "images": {key: len(getattr(sets, key).paths) for key in ("calibrate", "select", "judge")},
        "rows": [
            {
                "what": key,
                "ms": times[key].median_ms,
                "speed": base_ms / times[key].median_ms,
                "macs": pruning_table.macs_of(floats[key]),
                "float": rows[place][0].candidate,
                "int8": rows[place + len(floats)][0].candidate,
                "reference": rows[place][0].reference,
                "interval": rows[place + len(floats)][0].interval,
            }
            for place, key in enumerate(floats)
        ],
    }


def _size(file: ModelFile, whole: ModelFile) -> str:
    """Return the input of a file where it is another than the whole model's."""
    size_wh = file.description.input.size_wh
    return "" if size_wh == whole.description.input.size_wh else f" {size_wh[0]}x{size_wh[1]}"


def _text(results: list[dict[str, Any]]) -> str:
    lines = [
        "| net | way | int8, ms | times as fast | GMACs | float32 | int8 | off float32 [95 %] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for result in results:
        for number, row in enumerate(result["rows"]):
            lines.append(
                f"| {result['name'] if not number else ''} | {row['what']} | {row['ms']:.2f} "
                f"| {row['speed']:.2f} | {row['macs'] / GIGA:.2f} "
                f"| {row['float'] * POINTS:.1f} | {row['int8'] * POINTS:.1f} "
                f"| {off(row, 'int8')} |"
            )
        log, images = result["log"], result["images"]
        notes.append(
            f"{result['name']}: {log['steps']} steps of 8 images, best after {log['best']}, in "
            f"{log['cpu_s']:.0f} s of CPU and {log['wall_s']:.0f} s by the clock of a busy "
            f"machine; agreement with the whole model on {images['select']} images that select "
            f"{log['before']:.3f} before, {log['after']:.3f} behind; {images['calibrate']} images "
            f"trained, {images['judge']} others judged."
        )
    return "\n".join([*lines, "", *notes])


if __name__ == "__main__":
    sys.exit(main())
