"""Measure this tree beside another revision: `scripts/bench --against REVISION`.

The revision's files are written to a temporary folder and run in the same environment. Windows of
both alternate, A B, B A, ...; each is a process of its own. A figure is the median of its windows,
with the least and the greatest; the ratio is that of the windows beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_process import PERIOD_FRAMES, EdgeProcess, make_clip, running_broker

from edge.benchmark import host, report
from edge.errors import ConfigError, EdgeError
from edge.terminal import table
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.terminal.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
LEAD_FRAMES = 60
TRACED_WINDOWS = 3
TRACED_FRAMES = 1000
# Times a tree's own cases one by one, for as long as it is asked.
KERNELS = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import bench_kernels
bench_kernels.REPEATS = 5
cases = bench_kernels.cases()
for line in sys.stdin:
    if line.strip() == "count":
        print(len(cases), flush=True)
        continue
    rows = bench_kernels.measure([cases[int(line)]], timer=time.process_time)
    print(json.dumps({row[0]: row[1] for row in rows}), flush=True)
"""
PARTS = ("runs", "allocation", "kernels")
# What the ratio or the figure of this tree is held to.
GOALS = {
    "pipeline, 720p H.264 in, MQTT on": "ratio ≥ 0.99",
    "resident memory": "≤ 118",
    "start → first result": "≤ 0.45",
    "Python's allocations": "≤ 1",
}


@dataclass(slots=True)
class Figure:
    """One figure of both revisions: a value a window, as they were paired."""

    name: str
    unit: str
    before: list[float]
    after: list[float]

    def cells(self) -> list[str]:
        """Return the row of the table."""
        has_ratio = min(self.before) > 0 and min(self.after) > 0
        ratios = [b / a for a, b in zip(self.before, self.after, strict=True)] if has_ratio else []
        return [
            self.name,
            spread_text(self.before),
            spread_text(self.after),
            self.unit,
            spread_text(ratios) if ratios else "-",
            GOALS.get(self.name, "ratio ≤ 1" if self.unit == "µs CPU" else ""),
        ]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="scripts/bench --against", description=__doc__)
    parser.add_argument("revision", help="of git, such as HEAD or main~3: what stands before")
    parser.add_argument("--windows", type=int, default=7, help="of each (7)")
    parser.add_argument("--frames", type=int, default=4 * PERIOD_FRAMES, help="of a window (480)")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    arguments = parser.parse_args()
    try:
        with checkout(arguments.revision) as tree, bar("against", unit="windows") as progress:
            figures = measure(tree, arguments, progress=progress)
    except EdgeError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1
    show(figures, arguments)
    return 0


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Write a revision's files for the length of the block; give their folder.

    Raises:
        ConfigError: git does not know it.
    """
    files = _git("archive", "--format=tar", revision)
    with tempfile.TemporaryDirectory(prefix="bench-against-") as name:
        subprocess.run(["tar", "-x", "-C", name], input=files, check=True)
        yield Path(name)


def _git(*arguments: str) -> bytes:
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise ConfigError(f"git {' '.join(arguments)} failed: {reason}")
    return done.stdout


def measure(
    tree: Path, arguments: argparse.Namespace, *, progress: Progress | None
) -> list[Figure]:
    """Measure every part that was asked for."""
    trees = (tree, ROOT)
    parts = arguments.only or PARTS
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name, running_broker() as port:
        folder = Path(name)
        for each in trees:
            _check_imports(each, folder)
        clip = make_clip(folder / "clip.mp4")
        if "runs" in parts:
            sides = [EdgeProcess(each, folder, port=port) for each in trees]
            figures += runs(sides, clip, arguments, progress=progress)
        if "allocation" in parts:
            sides = [EdgeProcess(each, folder, port=port, traced=True) for each in trees]
            figures.append(allocation(sides, clip))
        if "kernels" in parts:
            figures += kernels(trees, folder, windows=arguments.windows)
    return figures


def runs(
    sides: list[EdgeProcess],
    clip: Path,
    arguments: argparse.Namespace,
    *,
    progress: Progress | None,
) -> list[Figure]:
    """Return the figures of whole processes."""
    figures = [
        Figure("pipeline, 720p H.264 in, MQTT on", "frames/s", [], []),
        Figure("CPU of a frame", "ms", [], []),
        Figure("resident memory", "MiB", [], []),
        Figure("start → first result", "s", [], []),
    ]
    for side in sides:  # warms the disk cache, and compiles
        side.run(clip, lead=1, frames=1)
    for number in range(arguments.windows):
        for side in (0, 1) if number % 2 else (1, 0):
            window = sides[side].run(clip, lead=LEAD_FRAMES, frames=arguments.frames)
            values = (window.rate_hz, window.cpu_ms, window.rss_mib, window.first_result_s)
            for figure, value in zip(figures, values, strict=True):
                (figure.after if side else figure.before).append(value)
            if progress:
                done = len(figures[0].before) + len(figures[0].after)
                progress(done, 2 * arguments.windows)
    return figures


def allocation(sides: list[EdgeProcess], clip: Path) -> Figure:
    """Return how much of what Python allocates stays, for a frame."""
    found: list[list[float]] = [[], []]
    for _ in range(TRACED_WINDOWS):
        for side, values in zip(sides, found, strict=True):
            window = side.run(clip, lead=LEAD_FRAMES, frames=TRACED_FRAMES)
            values.append(window.growth_bytes or 0.0)
    return Figure("Python's allocations", "bytes/frame", *found)


def kernels(trees: tuple[Path, Path], folder: Path, *, windows: int) -> list[Figure]:
    """Return the CPU time of decode and suppression, as each tree's own script measures it.

    Case by case in turn: a busy moment of the machine hits both.
    """
    figures: dict[str, Figure] = {}
    with ExitStack() as stack:
        sides = [stack.enter_context(_kernel_worker(tree, folder)) for tree in trees]
        cases = range(min(int(_ask(side, "count")) for side in sides))
        for number in range(windows):
            for case in cases:
                found = {}
                for side in (0, 1) if number % 2 else (1, 0):
                    found[side] = json.loads(_ask(sides[side], str(case)))
                for name in filter(found[0].__contains__, found[1]):
                    figure = figures.setdefault(name, Figure(name, "µs CPU", [], []))
                    figure.before.append(found[0][name])
                    figure.after.append(found[1][name])
    return list(figures.values())


def _kernel_worker(tree: Path, folder: Path) -> subprocess.Popen[str]:
    scripts = sorted(tree.glob("scripts/**/bench_kernels.py"))
    if not scripts:
        raise ConfigError(f"{tree} has no bench_kernels.py; add: --only runs --only allocation")
    return subprocess.Popen(
        [sys.executable, "-c", KERNELS, str(scripts[0].parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip


def _ask(worker: subprocess.Popen[str], question: str) -> str:
    if worker.stdin is None or worker.stdout is None:
        raise EdgeError("a worker has no pipes")
    worker.stdin.write(question + "\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise EdgeError("bench_kernels.py ended; its own lines above say why")
    return answer


def _check_imports(tree: Path, folder: Path) -> None:
    """Refuse where the environment's own package would be measured instead of the tree's."""
    found = _python(tree, folder, "-c", "import edge; print(edge.__file__)").strip()
    if not Path(found).is_relative_to(tree):
        raise ConfigError(f"expected edge of {tree}, found {found}; install with: pip install -e .")


def _python(tree: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    if done.returncode:
        raise EdgeError(f"{arguments[0]} of {tree} failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def show(figures: list[Figure], arguments: argparse.Namespace) -> None:
    """Print the figures with what they were measured on."""
    described = host.describe()
    before, after = (
        _git(*command).decode().strip()
        for command in (
            ("rev-parse", "--short", arguments.revision),
            ("describe", "--always", "--dirty"),
        )
    )
    if arguments.json:
        fields = {"host": described.plain(), "before": before, "after": after}
        print(json.dumps(fields | {"figures": [asdict(figure) for figure in figures]}, indent=1))
        return
    headers = ("figure", f"before, {before}", f"after, {after}", "unit", "after / before", "goal")
    print(report.host_lines(described))
    print(f"\n{table.render(headers, [figure.cells() for figure in figures])}")


def spread_text(values: list[float]) -> str:
    """Return the median, with least and greatest."""
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


if __name__ == "__main__":
    sys.exit(main())
