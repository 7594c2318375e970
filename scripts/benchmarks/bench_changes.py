"""Count the frames that reloads, commands and swaps of the model cost a running pipeline."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]

from live_runs import LiveRun, live_run  # noqa: E402 - behind the path
from reference import tiny_segmenter  # noqa: E402

from edge import swap  # noqa: E402
from edge.terminal import table  # noqa: E402

CAMERA = '[[camera]]\nname = "{name}"\nsource = "demo:"\nrealtime = {live}\nrate_hz = {rate_hz:g}\n'
SQUARE = "[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]"
# What each change adds to the configuration; taken out again by the next one.
KINDS = {
    "nothing": "",
    "threshold": "[model]\nscore_threshold = 0.4\n",
    "tracking": "[tracking]\n",
    "zone": f'[[zone]]\nname = "mat"\npolygon = {SQUARE}\n',
    "sink": "sink",
    "camera": "camera",
    "model": "model",
}


def main() -> None:
    """Print a table: of each kind of change, the frames that are missing."""
    parser = argparse.ArgumentParser(prog="scripts/bench --changes", description=__doc__)
    parser.add_argument("--changes", type=int, default=10, help="of each kind (10)")
    parser.add_argument("--rate", type=float, default=10.0, help="frames a second (10)")
    parser.add_argument("--live", action="store_true", help="drop late frames, as a camera does")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        swap.PROBATION_S = 0.0
        rows = measured(Path(folder), given)
    print(table.render(("change", "times", "frames seen", "missing", "most in one change"), rows))


def measured(folder: Path, given: argparse.Namespace) -> list[tuple[object, ...]]:
    """Return a row for each kind of change."""
    camera = CAMERA.format(name="door", live=str(given.live).lower(), rate_hz=given.rate)
    path, model = folder / "device.toml", folder / "strongest.tflite"
    tiny_segmenter.write(model)
    others = {
        "sink": f'[[sink]]\nkind = "jsonl"\npath = "{folder}/b.jsonl"\n',
        "camera": CAMERA.format(name="gate", live=str(given.live).lower(), rate_hz=1),
        "model": f'[model]\nfile = "{model}"\n',
    }
    base = (
        f'[device]\nname = "bench"\nwatch_file = false\n{camera}'
        f'[[sink]]\nkind = "jsonl"\npath = "{folder}/a.jsonl"\n'
    )
    path.write_text(base)
    rows = []
    with live_run(path) as run:
        run.wait_for(5)
        for kind, more in KINDS.items():
            began, worst = len(run.sequences("door")), 0
            for turn in range(2 * given.changes):
                path.write_text(base + ("" if turn % 2 else others.get(more, more)))
                worst = max(worst, changed(run))
            numbers = run.sequences("door")[began - 1 :]
            missing = numbers[-1] - numbers[0] + 1 - len(numbers)
            rows.append((kind, 2 * given.changes, len(numbers), missing, worst))
    return rows


def changed(run: LiveRun) -> int:
    """Follow the file, wait for a few frames, and return how many are missing since before."""
    began = len(run.sequences("door"))
    answer = run.ask("reload")
    if not answer.ok:
        sys.exit(answer.message)
    wanted = len(run.seen) + 4
    while len(run.seen) < wanted and not run.failure:
        run.wait_for(1)
    numbers = run.sequences("door")[began - 1 :]
    return numbers[-1] - numbers[0] + 1 - len(numbers)


if __name__ == "__main__":
    main()
