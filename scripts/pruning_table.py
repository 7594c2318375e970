"""Print what pruning without labels costs, beside the same net at a smaller input.

Each net is made faster by fewer channels and by a smaller input, and with `--torch` its channels
are cut by Torch-Pruning at the same multiplications. Each is quantised and judged by COCO's boxes
on images that nothing was fitted to, calibrated on or chosen by. Speeds are those of the int8
models on one thread, all measured in turn. Needs the `converter` extra and the development assets.
Models are kept in `.cache/pruning`, where a second run goes on, and figures for `--stored`.
With `--images` it prints instead what more images give one cut, by multiplications so that no clock
has a say.
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
from pruning_page import tables  # noqa: E402
from torch_pruned import torch_pruned  # noqa: E402
from without_amx import forbid_amx  # noqa: E402

from calibration.image_sets import draw_sets  # noqa: E402
from converter import export  # noqa: E402
from converter.cli import options  # noqa: E402
from converter.cli.command import new_command  # noqa: E402
from converter.graph.reading import read  # noqa: E402
from converter.importing import import_model  # noqa: E402
from converter.judge import accuracy  # noqa: E402
from converter.judge.latency import measure  # noqa: E402
from converter.prune.choosing import BOTH, CHANNELS  # noqa: E402
from converter.prune.levers import Levers  # noqa: E402
from converter.prune.measures import Target, macs  # noqa: E402
from converter.quantize.quantization import quantize_file  # noqa: E402
from converter.quantize.recipe import load_recipe  # noqa: E402
from edge.errors import ModelError  # noqa: E402
from edge.model import model_file  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calibration.image_sets import ImageSets
    from edge.model.model_file import ModelFile

CACHE = ROOT / ".cache" / "pruning"
TIMES = (1.2, 1.3, 1.4, 1.6, 2.0)
NETS = ("yolov3_tiny", "ssdlite_mobilenet_v2")
TORCH = ("magnitude", "taylor")
# Few, so that there are many to judge on; with those that choose they are refitted to.
CALIBRATE = 24
RESAMPLES = 300
# Of the multiplications, what is left where images are compared: 1.3 times as fast, or near it.
CURVE_MACS = 0.75
MIB, GIB_KIB = 2**20, 2**20


def main() -> int:
    """Measure what is not kept, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/pruning_table", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=NETS)
    parser.add_argument("--times", metavar="TIMES", type=float, nargs="+", default=TIMES)
    parser.add_argument(
        "--torch", metavar="PYTHON", type=Path,
        help="of an environment with torch and torch-pruning 1.6.1",
    )  # fmt: skip
    parser.add_argument(
        "--images", metavar="N", type=int, nargs="+",
        help="the learning curve instead: channels and both, of so many images each",
    )  # fmt: skip
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/pruning.md")
    parser.add_argument("--stored", action="store_true", help="tabulate what was kept, no more")
    arguments = parser.parse_args()
    forbid_amx()
    CACHE.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in NETS:
        kept = CACHE / f"{name}.{'images.' * bool(arguments.images)}json"
        if not arguments.stored and name in (arguments.only or NETS):
            print(f"pruning_table: {name} …", file=sys.stderr)
            if arguments.images:
                result = _curve(name, arguments.images)
            else:
                result = _result(name, arguments.times, arguments.torch)
            kept.write_text(json.dumps(result, indent=1))
        if kept.is_file():
            results[name] = json.loads(kept.read_text())
    text = tables(results)
    print(text)
    if arguments.write:
        script = f"pruning_table{' --images' * bool(arguments.images)}"
        write_between(arguments.write, text, script=script)
    return 0


def whole_model(name: str) -> ModelFile:
    """Return a float model of the assets."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{name}.whole.float.tflite"
    if not path.is_file():
        line = ["run", *options_of(ENTRIES[name], find_assets(), CACHE), "-o", "unused.tflite"]
        words = new_command().parse_args(options.join_signed(line))
        origin, choice = options.origin_of(words, name=name), options.choice_of(words)
        made = import_model(words.model, family=words.family, origin=origin, choice=choice)
        export.write(made, path)
    return model_file.read_own(path)


def _faster(
    name: str, images: Sequence[Path], times: Sequence[float]
) -> tuple[dict[str, ModelFile], list[dict[str, Any]]]:
    """Return the faster float models, and what making each took."""
    levers = Levers(whole_model(name), images)
    files, log = {}, []
    for each in times:
        note = CACHE / f"{name}.{each:g}.json"
        if not note.is_file():
            print(f"pruning_table: {name}, {each:g} x", file=sys.stderr, flush=True)
            note.write_text(json.dumps(_made(levers, name, each)))
        rows = json.loads(note.read_text())
        log += rows
        for row in rows:
            path = CACHE / f"{name}.{row['lever']}-{each:g}.float.tflite"
            if "refused" not in row:
                files[row["asked"]] = model_file.read_own(path)
    return files, log


def _made(levers: Levers, name: str, times: float) -> list[dict[str, Any]]:
    """Pull each lever for one speed, write the models, and say what each took and lost."""
    started, before = time.monotonic(), _cpu_s()
    try:
        ways = levers.ways(Target(times))
    except ModelError as error:
        return [{"lever": "all", "asked": f"{times:g} x", "refused": str(error)}]
    rows: list[dict[str, Any]] = []
    for lever, done in ways.made.items():
        export.write(done.file, CACHE / f"{name}.{lever}-{times:g}.float.tflite")
        taken = " (taken)" if lever == ways.best else ""
        rows.append({
            "lever": lever, "asked": f"{times:g} x, {lever}{taken}", "cut_error": done.cut_error,
            "error": done.error, "step": done.step,
            "distance": float(ways.lost[lever][0]) if lever in ways.lost else None,
        })  # fmt: skip
    rows += [
        {"lever": lever, "asked": f"{times:g} x, {lever}", "refused": str(error).partition(": ")[2]}
        for lever, error in ways.refused.items()
    ]
    rows[0] |= {
        "cpu_s": _cpu_s() - before, "wall_s": time.monotonic() - started,
        # A child's would be this process's own: until it runs its program it is a copy.
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIB_KIB,
    }  # fmt: skip
    return rows


def _cpu_s() -> float:
    """Return what this process and its children took: each int8 model is made in a child."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _result(name: str, times: Sequence[float], torch: Path | None) -> dict[str, Any]:
    sets, whole = _sets(), whole_model(name)
    images = (*sets.calibrate.paths, *sets.select.paths)
    files, log = _faster(name, images, times)
    floats = {"whole": whole, **files}
    for key, file in files.items():
        for way in TORCH if torch and CHANNELS in key else ():
            what = f"Torch-Pruning, {way}, as {key}"
            path = CACHE / f"{name}.{what}.float.tflite"
            if not path.is_file():
                ratio = macs_of(file) / macs_of(whole)
                print(f"pruning_table: torch, {way}, {ratio:.2f}", file=sys.stderr)
                made = torch_pruned(whole, images, torch, ratio=ratio, importance=way)
                export.write(made, path)
            floats[what] = model_file.read_own(path)
    return {"log": log, **_judged(name, floats, sets)}


def _curve(name: str, counts: Sequence[int]) -> dict[str, Any]:
    """Return what one cut of a net costs, made with so many images each."""
    sets, whole = _sets(), whole_model(name)
    images = (*sets.calibrate.paths, *sets.select.paths)
    floats = {"whole": whole}
    for count in counts:
        levers = Levers(whole, images[:count])
        for lever in (CHANNELS, BOTH):
            key = f"{lever}, {count} images"
            path = CACHE / f"{name}.{key}.{CURVE_MACS:g}.float.tflite"
            if not path.is_file():
                print(f"pruning_table: {name}, {key}", file=sys.stderr, flush=True)
                export.write(levers.pull(Target(macs=CURVE_MACS), lever=lever)[0].file, path)
            floats[key] = model_file.read_own(path)
    return {"log": [], **_judged(name, floats, sets)}


def _sets() -> ImageSets:
    return draw_sets(find_assets() / "data/coco_train178/images", seed=0, calibrate=CALIBRATE)


def _judged(name: str, floats: Mapping[str, ModelFile], sets: ImageSets) -> dict[str, Any]:
    """Quantise the models, judge and time them; the first is the whole."""
    made = {}
    for key, file in floats.items():
        print(f"pruning_table: quantise {key}", file=sys.stderr)
        kept = CACHE / f"{name}.{key}.int8.tflite"
        if not kept.is_file():
            export.write(quantize_file(file, sets.calibrate, load_recipe("int8")), kept)
        made[key] = model_file.read_own(kept)
    print("pruning_table: judge", file=sys.stderr)
    rows = accuracy.compare(
        floats["whole"], list(made.values()),
        images=sets.judge.paths, annotations=accuracy.Annotations(find_assets() / INSTANCES),
        dataset="coco_train178", seed=0, resamples=RESAMPLES,
    )  # fmt: skip
    taken = measure({"float": floats["whole"], **made}, clock=time.thread_time_ns)
    base_ms = taken["whole"].median_ms
    return {
        "float_ms": taken["float"].median_ms,
        "images": {"fitted and calibrated": len(sets.calibrate.paths) + len(sets.select.paths),
                   "judged": len(sets.judge.paths)},
        "rows": [
            {
                "what": key,
                "input": "x".join(map(str, floats[key].description.input.size_wh)),
                "speed": base_ms / taken[key].median_ms,
                "ms": taken[key].median_ms,
                "mib": len(file.flatbuffer) / MIB,
                "macs": macs_of(floats[key]),
                "from_whole": rows[0][0].candidate,
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


if __name__ == "__main__":
    sys.exit(main())
