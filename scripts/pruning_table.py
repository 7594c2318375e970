"""Print what pruning without labels costs, beside the same net at a smaller input.

Each net is pruned for several speeds and rebuilt at several inputs, and each of these is quantised
and judged by COCO's boxes on images that nothing was fitted to, calibrated on or chosen by. Speeds
are those of the int8 models on one thread, all measured in turn. Needs the `converter` extra and
the development assets. Models and figures are kept in `.cache/pruning`: a second run prints at
once.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from accuracy_entries import ENTRIES, INSTANCES, options_of  # noqa: E402
from accuracy_page import write_between  # noqa: E402
from accuracy_table import find_assets  # noqa: E402
from smaller_input import smaller_darknet, smaller_ssd  # noqa: E402

from calibration.image_sets import draw_sets  # noqa: E402
from converter import export  # noqa: E402
from converter.cli import options  # noqa: E402
from converter.cli.command import new_command  # noqa: E402
from converter.graph.reading import read  # noqa: E402
from converter.importing import import_model  # noqa: E402
from converter.judge import accuracy  # noqa: E402
from converter.judge.latency import measure  # noqa: E402
from converter.prune.measures import macs  # noqa: E402
from converter.prune.pruning import Pruner  # noqa: E402
from converter.quantize.quantization import quantize_file  # noqa: E402
from converter.quantize.recipe import load_recipe  # noqa: E402
from edge.errors import ModelError  # noqa: E402
from edge.model import model_file  # noqa: E402

if TYPE_CHECKING:
    from calibration.image_sets import ImageSets
    from edge.model.model_file import ModelFile

CACHE = ROOT / ".cache" / "pruning"
TIMES, MACS = (1.2, 1.3, 1.6), (0.77,)
# Inputs whose int8 models come near those speeds.
SIDES = {"yolov3_tiny": (384, 352, 320), "ssdlite_mobilenet_v2": (272, 256, 224)}
# Few, so that there are many to judge on; with those that choose they are refitted to.
CALIBRATE = 24
RESAMPLES = 300
MIB, GIB_KIB, GIGA, POINTS = 2**20, 2**20, 1e9, 100


def main() -> int:
    """Measure what is not kept, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/pruning_table", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=tuple(SIDES))
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/pruning.md")
    parser.add_argument("--stored", action="store_true", help="tabulate what was kept, no more")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in SIDES:
        kept = CACHE / f"{name}.json"
        if not arguments.stored and name in (arguments.only or SIDES) and not kept.is_file():
            print(f"pruning_table: {name} …", file=sys.stderr)
            kept.write_text(json.dumps(_result(name), indent=1))
        if kept.is_file():
            results[name] = json.loads(kept.read_text())
    text = _text(results)
    print(text)
    if arguments.write:
        write_between(arguments.write, text, script="pruning_table")
    return 0


def imported(name: str, side: int | None = None) -> ModelFile:
    """Return a float model of the assets; a Darknet one at another input, if one is named."""
    path = CACHE / f"{name}.{side or 'whole'}.float.tflite"
    if not path.is_file():
        line = ["run", *options_of(ENTRIES[name], find_assets(), CACHE), "-o", "unused.tflite"]
        words = new_command().parse_args(options.join_signed(line))
        model = smaller_darknet(words.model, side, CACHE) if side else words.model
        origin, choice = options.origin_of(words, name=name), options.choice_of(words)
        made = import_model(model, family=words.family, origin=origin, choice=choice)
        export.write(made, path)
    return model_file.read_own(path)


def smaller(name: str, side: int) -> ModelFile:
    """Return it at another input, of whichever format."""
    if ENTRIES[name].model.endswith(".cfg"):
        return imported(name, side)
    return smaller_ssd(imported(name), side)


def _pruned(name: str, sets: ImageSets) -> tuple[dict[str, ModelFile], dict[str, Any]]:
    """Return the pruned float models, and what making them took."""
    keys = [*(f"{times:g} x" for times in TIMES), *(f"{ratio:g} of MACs" for ratio in MACS)]
    paths = {key: CACHE / f"{name}.{key.replace(' ', '_')}.float.tflite" for key in keys}
    log = CACHE / f"{name}.pruned.json"
    found: dict[str, Any] = json.loads(log.read_text()) if log.is_file() else {"rows": []}
    missing = set(paths) - {row["asked"] for row in found["rows"]}
    if missing:
        started, before = time.monotonic(), time.process_time()
        pruner = Pruner(imported(name), (*sets.calibrate.paths, *sets.select.paths))
    for key in sorted(missing):
        try:
            number, by_macs = float(key.split()[0]), key.endswith("MACs")
            done = pruner.prune(1 / number if by_macs else number, by_macs=by_macs)
        except ModelError as error:
            found["rows"].append({"asked": key, "refused": str(error).partition(": ")[2]})
        else:
            export.write(done.file, paths[key])
            row = {"asked": key, "cut_error": done.cut_error, "error": done.error}
            found["rows"].append(row)
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB_KIB
        taken = {"cpu_s": time.process_time() - before, "wall_s": time.monotonic() - started}
        found = {**taken, "peak_gib": peak_gib, **found}
        log.write_text(json.dumps(found))
    made = {row["asked"] for row in found["rows"] if "error" in row}
    files = {
        f"pruned, {key}": model_file.read_own(path) for key, path in paths.items() if key in made
    }
    return files, found


def _result(name: str) -> dict[str, Any]:
    assets = find_assets()
    sets = draw_sets(assets / "data/coco_train178/images", seed=0, calibrate=CALIBRATE)
    whole = imported(name)
    width = whole.description.input.size_wh[0]
    files, log = _pruned(name, sets)
    smaller = {f"input {side}": smaller(name, side) for side in SIDES[name]}
    floats = {f"whole, input {width}": whole, **files, **smaller}
    made = {}
    for key, file in floats.items():
        print(f"pruning_table: quantise {key}", file=sys.stderr)
        made[key] = quantize_file(file, sets.calibrate, load_recipe("int8"))
    print("pruning_table: judge", file=sys.stderr)
    rows = accuracy.compare(
        whole, list(made.values()),
        images=sets.judge.paths, annotations=accuracy.Annotations(assets / INSTANCES),
        dataset="coco_train178", seed=0, resamples=RESAMPLES,
    )  # fmt: skip
    times = measure(made, clock=time.thread_time_ns)
    base_ms = times[next(iter(made))].median_ms
    return {
        "log": log,
        "images": {"fitted and calibrated": len(sets.calibrate.paths) + len(sets.select.paths),
                   "judged": len(sets.judge.paths)},
        "rows": [
            {
                "what": key,
                "speed": base_ms / times[key].median_ms,
                "ms": times[key].median_ms,
                "mib": len(file.flatbuffer) / MIB,
                "macs": macs_of(floats[key]),
                "reference": losses[0].reference,
                "value": losses[0].candidate,
                "interval": losses[0].interval,
            }
            for (key, file), losses in zip(made.items(), rows, strict=True)
        ],
    }  # fmt: skip


def macs_of(file: ModelFile) -> float:
    """Return a float model's multiplications."""
    return sum(macs(read(file.flatbuffer, file.path)).values())


def _text(results: dict[str, Any]) -> str:
    lines = [
        "| net | way | int8, ms | times as fast | GMACs | MiB | mAP50-95 | off float32 [95 %] |",
        "|---|---|---|---|---|---|---|---|",
    ]
    notes = []
    for name, result in results.items():
        first = result["rows"][0]
        lines.append(f"| {name} | whole, float32 | | | | | {first['reference'] * POINTS:.1f} | |")
        for row in result["rows"]:
            off = (row["value"] - row["reference"]) * POINTS
            low, high = (POINTS * edge for edge in row["interval"])
            lines.append(
                f"| | {row['what']} | {row['ms']:.2f} | {row['speed']:.2f} "
                f"| {row['macs'] / GIGA:.2f} | {row['mib']:.2f} "
                f"| {row['value'] * POINTS:.1f} "
                f"| {off:+.1f} [{low:+.1f}, {high:+.1f}] |"
            )
        log = result["log"]
        errors = "; ".join(
            f"{row['asked']}: {row['cut_error']:.3f} cut, {row['error']:.3f} refitted"
            if "error" in row
            else row["refused"]
            for row in log["rows"]
        )
        notes.append(
            f"{name}: {log['cpu_s']:.0f} s of CPU and {log['wall_s']:.0f} s by the clock for the "
            f"first speed, {log['peak_gib']:.2f} GiB at most; "
            f"{result['images']['fitted and calibrated']} images served, "
            f"{result['images']['judged']} others judged. Outputs' squared error over their "
            f"power, on images that nothing was fitted to: {errors}."
        )
    return "\n".join([*lines, "", *notes])


if __name__ == "__main__":
    sys.exit(main())
