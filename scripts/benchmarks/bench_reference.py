"""Hold this machine to its reference figures: `scripts/bench --check`, or `--record` them.

The built-in model on the built-in source, one interpreter thread. CPU times are judged over that of
a bare invoke, and memory as it is: other work hardly moves them. Elapsed times, over that of a bare
invoke, are judged where the machine is idle. The files lie in tests/reference/figures, one a board.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bench_kernels
import bench_reference_file as reference
from bench_reference_file import Measured

from edge import app
from edge.benchmark import report
from edge.benchmark.cold_start import measure_start
from edge.benchmark.duration import parse as duration
from edge.benchmark.measuring import Plan, measure
from edge.benchmark.spread import spread
from edge.config.reading import parse
from edge.errors import EdgeError
from edge.model.loaded import load_model
from edge.terminal import table

if TYPE_CHECKING:
    from edge.benchmark.result import Result
    from edge.config.sections import Config

FIGURES = Path(__file__).resolve().parents[2] / "tests" / "reference" / "figures"
THREADS = 1
STARTS = 5
KERNEL_WINDOWS = 7
KERNEL_INVOKES = 50


def main() -> int:
    """Measure, then check or record."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="exit with 1 where a figure is worse")
    what.add_argument("--record", action="store_true", help="write this board's file")
    parser.add_argument("--duration", type=duration, default=60.0, help="of the windows (60s)")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the files")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except EdgeError as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    """Measure, then check or record; return the exit status."""
    settings = parse(
        {"camera": {"source": "demo:", "realtime": False}, "model": {"threads": THREADS}}
    )
    result = measure([settings], Plan(duration_s=arguments.duration, starts=0))
    path = arguments.figures / reference.file_name(result.host)
    known = reference.read(path) if arguments.check else []
    found = [*pipeline(result), *kernels(settings), *process(settings)]
    print(f"{report.host_lines(result.host)}\n")
    if arguments.record:
        reference.write(path, reference.references(result.host, found, threads=THREADS))
    verdicts = reference.judge(result.host, found, known)
    print(render(verdicts))
    if known:
        print(f"\nreference: {known[0].runtime}, Python {known[0].python}, {known[0].date}")
    print(f"\n{path}" + (" written" if arguments.record else ""))
    return int(any(verdict.is_worse for verdict in verdicts))


def render(verdicts: list[reference.Verdict]) -> str:
    """Return the table."""
    rows = []
    for verdict in verdicts:
        measured, known = verdict.measured.spread, verdict.reference
        rows.append(
            [
                verdict.measured.figure,
                f"{measured.median:.4g}",
                f"{measured.low:.4g} to {measured.high:.4g}",
                verdict.measured.unit,
                f"{known.median:.4g}" if known else "-",
                f"{verdict.ratio:.3f}" if verdict.ratio is not None else "-",
                verdict.text,
            ]
        )
    headers = ("figure", "median", "95 % interval", "unit", "reference", "ratio", "")
    return table.render(headers, rows)


def pipeline(result: Result) -> list[Measured]:
    """Return the figures of the windows: each over the bare invokes beside it."""
    figures = (
        ("CPU of a frame / CPU of a bare invoke", "ratio", lambda w: w.cpu_ms / w.bare_cpu_ms),
        ("pipeline frame / bare invoke", reference.ELAPSED, lambda w: w.frame_ms / w.bare_ms),
        ("bare invoke", "ms", lambda w: w.bare_ms),
        ("pipeline frame", "ms", lambda w: w.frame_ms),
        ("CPU of a frame", "ms", lambda w: w.cpu_ms),
        ("captured to published", "ms", lambda w: w.end_to_end_ms),
    )
    windows = result.rows[0].windows
    return [Measured(name, unit, spread([of(w) for w in windows])) for name, unit, of in figures]


def kernels(settings: Config) -> list[Measured]:
    """Return the CPU time of decode and suppression over that of a bare invoke."""
    bare = load_model(app.model_file(settings), threads=THREADS)
    shares: dict[str, list[float]] = {}
    for _ in range(KERNEL_WINDOWS):
        started_s = time.process_time()
        for _ in range(KERNEL_INVOKES):
            bare.invoke_bare()
        bare_us = (time.process_time() - started_s) * 1e6 / KERNEL_INVOKES
        rows = bench_kernels.measure(bench_kernels.cases()[:1], timer=time.process_time)
        for name, median_us, _ in rows:
            shares.setdefault(f"{name} / bare invoke", []).append(median_us / bare_us)
    return [Measured(name, "ratio", spread(values)) for name, values in shares.items()]


def process(settings: Config) -> list[Measured]:
    """Return the figures of `edge run` as a process of its own."""
    starts = [measure_start(settings, starts=1) for _ in range(STARTS)]
    return [
        Measured("resident memory", "MiB", spread([start.resident_mib for start in starts])),
        Measured(
            "process start to first result", "s", spread([s.first_result_s[0] for s in starts])
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
