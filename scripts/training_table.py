"""Print what training gives on two labelled sets, in float and in int8, and what it takes.

Each net is trained by `edge-convert train`, quantised and judged by `edge-convert run` on images
that trained nothing, and both files are measured on the images that neither trained nor chose.
Needs the `converter` extra and the development assets. What was trained stays in
`.cache/training`: a second run prints at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from accuracy_page import write_between  # noqa: E402
from accuracy_table import find_assets  # noqa: E402
from without_amx import forbid_amx  # noqa: E402

from converter.judge.latency import measure as timed  # noqa: E402
from converter.train.data import labelled  # noqa: E402
from edge.evaluation.measuring import measure  # noqa: E402
from edge.model.model_file import read  # noqa: E402

CACHE = ROOT / ".cache" / "training"
RESAMPLES = 1000
SPEEDUP, MINUTES = 1.6, 5
POINTS = 100
# What a cut is to reach: float32 over int8, and points that it may lose for it.
GOAL_TIMES, GOAL_POINTS = 5.0, 1.5


@dataclass(frozen=True)
class Entry:
    """A net, the set that it learns, and how.

    Attributes:
        data: Folder of the assets.
        holds: What labels it has.
        judge: Names of the images that judge, or a file of them in the folder.
        words: Of the command.
        labels: What `edge-convert run` judges int8 by, in the folder.
        count: Images that a cut is refitted and trained on.
    """

    data: str
    holds: str
    judge: tuple[str, ...] | str
    words: tuple[str, ...]
    labels: str
    count: int


ENTRIES = {
    "bccd": Entry(
        "data/bccd/BCCD", "boxes", "ImageSets/Main/test.txt",
        ("ssd-mobilenet", "--input", "256", "--batch", "8", "--epochs", "20", "--flips", "both",
         "--zoom-out", "1.5", "--least-crop", "0.6"), "Annotations", 200,
    ),
    "membrane": Entry(
        "data/membrane/data/membrane", "masks",
        ("4.png", "9.png", "14.png", "19.png", "24.png", "29.png"),
        ("unet", "--width", "0.25", "--input", "384", "--batch", "2", "--epochs", "25",
         "--flips", "both", "--zoom-out", "1", "--least-crop", "1"), "train/label", 24,
    ),
}  # fmt: skip


def main() -> int:
    """Train what is not kept, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/training_table", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=tuple(ENTRIES))
    parser.add_argument(
        "--cut", metavar="LEVER", choices=("channels", "input"),
        help=f"instead, what a cut costs behind {MINUTES} minutes of recovery by labels, timed "
        "without AMX tiles",
    )  # fmt: skip
    parser.add_argument(
        "--speedup", metavar="TIMES", type=float, nargs="+", default=(SPEEDUP,),
        help="of the int8 model by the cut; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/training.md")
    arguments = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    if arguments.cut:
        forbid_amx()  # of the commands as well: a filter outlives exec
        rows = [
            _cut_row(name, arguments.cut, times)
            for name in arguments.only or ENTRIES
            for times in arguments.speedup
        ]
        head = ["set", "way", "metric", "images", "float", "int8", "cut, recovered, int8",
                "off float, points [95 %]", "times as fast", "float32 ÷ int8",
                f"{GOAL_TIMES:g} times at {GOAL_POINTS:g} points", "CPU s"]  # fmt: skip
        print("\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]))
        return 0
    rows = [row for name in arguments.only or ENTRIES for row in _rows(name)]
    head = ["set", "metric", "images", "float", "int8", "int8 - float, points [95 %]",
            "gate", "training: CPU s", "wall s"]  # fmt: skip
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join(f"| {' | '.join(row)} |" for row in lines)
    print(text)
    if arguments.write:
        write_between(arguments.write, text, script="training_table")
    return 0


def _rows(name: str) -> list[list[str]]:
    entry, folder = ENTRIES[name], find_assets() / ENTRIES[name].data
    trained, quantized = CACHE / f"{name}-float.tflite", CACHE / f"{name}.tflite"
    judge = CACHE / f"{name}-judge.txt"
    names = entry.judge
    judge.write_text((folder / names).read_text() if isinstance(names, str) else "\n".join(names))
    kept = CACHE / f"{name}.json"
    if not (trained.is_file() and kept.is_file()):
        words = [*entry.words, "--data", str(folder), "--judge-list", str(judge)]
        times = _run(["train", *words, "-o", str(trained)])
        kept.write_text(json.dumps(times))
    found = labelled.read(folder, None, holds=entry.holds)
    digests = {part: set(one.contents) for part, one in _sets(trained).items()}
    unseen = [one.path for one in found.samples if _content(one.path) not in digests["train"]]
    judging = [path for path in unseen if _content(path) in digests["judge"]]
    if not quantized.is_file():
        images = CACHE / f"{name}-unseen"
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        for path in unseen:
            shutil.copy(path, images)
        words = ["--images", str(images), "--annotations", str(folder / entry.labels)]
        _run(["run", str(trained), *words, "-o", str(quantized)])
    files = [read(path) for path in (trained, quantized) if path.is_file()]
    done = measure(files, found.truth, judging, seed=0, resamples=RESAMPLES, threads=2)
    return _cells(name, done, json.loads(kept.read_text()))


def _cut_row(name: str, lever: str, times: float) -> list[str]:
    """Return what a cut of the trained model costs, on the images that judged it."""
    _rows(name)
    entry, folder = ENTRIES[name], find_assets() / ENTRIES[name].data
    trained, whole = CACHE / f"{name}-float.tflite", CACHE / f"{name}.tflite"
    cut, quantized = (CACHE / f"{name}-{lever}-{times:g}{end}.tflite" for end in ("-float", ""))
    kept, found = cut.with_suffix(".json"), labelled.read(folder, None, holds=entry.holds)
    judges = set(_sets(trained)["judge"].contents)
    judging = [one.path for one in found.samples if _content(one.path) in judges]
    if not quantized.is_file():
        images = CACHE / f"{name}-others"
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        for sample in found.samples:
            if _content(sample.path) not in judges:
                shutil.copy(sample.path, images)
        labels = ["--recover", str(MINUTES), "--recover-labels", str(folder / entry.labels)]
        words = ["--images", str(images), "--count", str(entry.count)]
        taken = _run(["prune", str(trained), "--speedup", str(times), "--lever", lever, *words,
                      *labels, "-o", str(cut)])  # fmt: skip
        kept.write_text(json.dumps(taken))
        _run(["quantize", str(cut), *words, "-o", str(quantized)])
    files = [read(path) for path in (trained, whole, quantized)]
    done = measure(files, found.truth, judging, seed=0, resamples=RESAMPLES, threads=2)
    metric = done.evaluations[0].main_metric
    gap = next(
        one for one in done.differences if one.metric == metric and one.model == len(files) - 1
    )
    low, high = (POINTS * end for end in gap.interval)
    values = [one.metrics[metric] for one in done.evaluations]
    named = dict(zip(("float", "whole", "cut"), files, strict=True))
    took = {key: one.median_ms for key, one in timed(named, clock=time.thread_time_ns).items()}
    lost, ratio = POINTS * (values[2] - values[0]), took["float"] / took["cut"]
    is_met = ratio >= GOAL_TIMES and lost >= -GOAL_POINTS
    return [name, f"{lever}, {times:g} x", metric, str(len(judging)),
            *(f"{value:.4f}" for value in values), f"{lost:+.2f} [{low:+.2f}, {high:+.2f}]",
            f"{took['whole'] / took['cut']:.2f}", f"{ratio:.2f}", "met" if is_met else "missed",
            f"{json.loads(kept.read_text())['cpu_s']:.0f}"]  # fmt: skip


def _cells(name: str, done: Any, times: dict[str, float]) -> list[list[str]]:  # noqa: ANN401
    first = done.evaluations[0]
    rows = []
    for at, metric in enumerate(list(first.metrics)[:3]):
        found = next((one for one in done.differences if one.metric == metric), None)
        change = "—"
        if found:
            low, high = (POINTS * end for end in found.interval)
            gap = POINTS * (found.values[1] - found.values[0])
            change = f"{gap:+.2f} [{low:+.2f}, {high:+.2f}]"
        values = [f"{one.metrics[metric]:.4f}" for one in done.evaluations]
        rows.append(
            [name, metric, str(first.images), values[0], values[1] if values[1:] else "—", change,
             "passed" if values[1:] else "refused",
             *([f"{times[key]:.0f}" for key in ("cpu_s", "wall_s")] if at == 0 else ["", ""])]
        )  # fmt: skip
    for label, row in first.classes.items():
        text = ", ".join(f"{key} {value:.4f}" for key, value in row.items() if key != "objects")
        rows.append([name, f"{label}, float", text, *[""] * 6])
    return rows


def _sets(path: Path) -> dict[str, Any]:
    return dict(read(path).own_manifest().image_sets)


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _run(words: list[str]) -> dict[str, float]:
    """Run `edge-convert` with two threads; return what it took."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    two = {"TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "converter", *words],
        cwd=ROOT, check=False, env={**os.environ, **two},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"training_table: edge-convert {words[0]}: exit status {done.returncode}", file=sys.stderr
    )
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu_s, "wall_s": time.monotonic() - started}


if __name__ == "__main__":
    sys.exit(main())
