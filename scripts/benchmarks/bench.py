"""Measure the runtime on this machine: `scripts/bench [--pairs N] [--json]`.

A (bare invoke) and B (pipeline: 720p H.264 file in, MQTT on) are interleaved in one run; a figure
is the median of its windows, with the least and the greatest. Wall-clock figures of a busy machine
are worth little: the table says how busy it was.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import sys
import tempfile
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path

import bench_kernels
import bench_workers
from edge_process import EdgeProcess, make_clip, running_broker

from edge import app
from edge.config import reading as config
from edge.demo import broker
from edge.model.loaded import load_model
from edge.terminal import table

ROOT = Path(__file__).resolve().parents[2]
WINDOW_FRAMES = 300
WARM_UP_FRAMES = 100
GROWTH_FRAMES = 2000
STARTS = 7


@dataclass(frozen=True)
class Figure:
    """One row of the table; `goal` is a limit on the median, with its direction."""

    name: str
    median: float
    least: float
    greatest: float
    unit: str
    goal: str = ""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="interleaved window pairs (7)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_broker() as port:
        clip = make_clip(Path(folder) / "clip.mp4")
        settings = bench_config(clip, port)
        figures = [
            *throughput(settings, pairs=arguments.pairs),
            *workers(pairs=arguments.pairs),
            *kernels(),
            growth(settings),
            *processes(clip, port),
        ]
    show(figures, as_json=arguments.json)
    return 0


def show(figures: list[Figure], *, as_json: bool) -> None:
    """Print the figures with what they were measured on."""
    machine = (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}"
    )
    if as_json:
        print(json.dumps({"machine": machine, "figures": [asdict(f) for f in figures]}, indent=1))
        return
    rows = [
        [f.name, round(f.median, 3), round(f.least, 3), round(f.greatest, 3), f.unit, f.goal]
        for f in figures
    ]
    print(f"{machine}\n{table.render(['figure', 'median', 'min', 'max', 'unit', 'goal'], rows)}")


def bench_config(clip: Path, port: int) -> config.Config:
    """Return the configuration that is measured."""
    return config.parse(
        {
            "device": {"name": "bench"},
            "camera": {"source": f"file:{clip}", "loop": True},
            "model": {"threads": 1},
            "mqtt": {"url": f"mqtt://{broker.LOOPBACK}:{port}"},
        }
    )


def throughput(settings: config.Config, *, pairs: int) -> list[Figure]:
    """Measure bare invoke and pipeline in turn, A B, B A, A B, …, and their ratio pair by pair."""
    bare = load_model(app.model_file(settings), threads=settings.model.threads)
    a_ms: list[float] = []
    b_ms: list[float] = []
    cpu_ms: list[float] = []
    with app.opened(settings) as parts:

        def bare_ms() -> float:
            """Return one window's milliseconds an invoke, on the cores of the pipeline's."""
            return 1e3 * bench_workers.bare_s(bare, parts.cores.interpreter, WINDOW_FRAMES)

        run_pipeline(parts, WARM_UP_FRAMES)
        bare_ms()
        for pair in range(pairs):
            if pair % 2:
                a_ms.append(bare_ms())
            cpu_started_s = time.process_time()
            b_ms.append(run_pipeline(parts, WINDOW_FRAMES))
            cpu_ms.append((time.process_time() - cpu_started_s) * 1e3 / WINDOW_FRAMES)
            if not pair % 2:
                a_ms.append(bare_ms())
    ratios = [a / b for a, b in zip(a_ms, b_ms, strict=True)]
    return [
        spread("bare invoke", a_ms, "ms"),
        spread("pipeline, 720p H.264 in, MQTT on", b_ms, "ms/frame"),
        spread("pipeline / (1 / bare invoke)", ratios, "ratio", "≥ 0.95"),
        spread("CPU of the pipeline", cpu_ms, "ms/frame"),
    ]


def workers(*, pairs: int) -> list[Figure]:
    """Measure several interpreters at the same time beside the bare invoke of one."""
    return [
        spread(f"{count} workers / (1 / bare invoke), 720p in memory", ratios, "ratio", "≥ 1.7")
        for count, ratios in bench_workers.measure((2,), pairs=pairs).items()
    ]


def run_pipeline(parts: app.Parts, frames: int) -> float:
    """Run so many frames; return milliseconds a frame."""
    pipeline = parts.pipeline()
    pipeline.run(max_frames=frames)
    summary = pipeline.times.summary()
    return summary.elapsed_s * 1e3 / summary.frames


def spread(name: str, values: list[float], unit: str, goal: str = "") -> Figure:
    """Return the median of some windows with their extremes."""
    return Figure(name, statistics.median(values), min(values), max(values), unit, goal)


def kernels() -> list[Figure]:
    """Measure decode and suppression of a 1917 x 91 head, and decoding of class maps."""
    return [
        Figure(name, us, us, us, "µs", f"≤ {limit:g}" if math.isfinite(limit) else "")
        for name, us, limit in bench_kernels.measure()
    ]


def growth(settings: config.Config) -> Figure:
    """Measure what tracemalloc sees grow over many frames after a warm-up."""
    tracemalloc.start()
    with app.opened(settings) as parts:
        run_pipeline(parts, WARM_UP_FRAMES)
        before = settled_bytes()
        run_pipeline(parts, GROWTH_FRAMES)
        per_frame = (settled_bytes() - before) / GROWTH_FRAMES
    tracemalloc.stop()
    return Figure("tracemalloc growth", per_frame, per_frame, per_frame, "bytes/frame", "≤ 1")


def settled_bytes() -> int:
    """Return the traced bytes once the broker has confirmed what was sent."""
    time.sleep(1)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def processes(clip: Path, port: int) -> list[Figure]:
    """Start `edge run` several times: time to its first message on the broker, and its memory."""
    process = EdgeProcess(ROOT, clip.parent, port=port)
    process.run(clip, lead=1, frames=1)  # warms the disk cache
    found = [process.run(clip, lead=1, frames=WINDOW_FRAMES) for _ in range(STARTS)]
    starts_s, rss_mib = ([w.first_result_s for w in found], [w.rss_mib for w in found])
    return [
        spread("process start → first result arrives", starts_s, "s", "≤ 0.45"),
        spread("resident memory", rss_mib, "MiB", "≤ 118"),
    ]


if __name__ == "__main__":
    sys.exit(main())
