"""What frames cost as cameras, threads and networks grow: whole pipelines, each a process."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_growth import Growth, Outcome, listed
from bench_peers_worker import Row, Worker

from edge.model import model_file
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_process import EdgeProcess, Window

    from edge.model.model_file import ModelFile

LEAD_FRAMES = 20
CAMERAS = (1, 2, 4)
SLOW_INVOKE_MS = 25.0
NS_PER_MS = 1e6


def threads(file: ModelFile, *, frames: int) -> Growth:
    """Return bare invoke with one thread and with two."""
    return Growth(
        "bare invoke, by threads",
        "ms",
        {str(count): _invoke_ms(file, threads=count, frames=frames) for count in (1, 2)},
        1 / 1.85,
        "1.85 times as fast, where a second core is free",
    )


def _invoke_ms(file: ModelFile, *, threads: int, frames: int) -> Callable[[], float]:
    model = load_model(file, threads=threads)

    def measure() -> float:
        started_ns = time.perf_counter_ns()
        for _ in range(frames):
            model.invoke_bare()
        return (time.perf_counter_ns() - started_ns) / NS_PER_MS / frames

    return measure


def networks(models: list[Path], clip: Path, *, rounds: int, frames: int) -> list[Outcome]:
    """Return, for each network, the pipeline's time against the bare invoke's, round by round."""
    outcomes = []
    for model in models:
        with _folder(model, clip) as folder, ExitStack() as stack:
            workers = {
                variant: stack.enter_context(Worker(Row(variant, "ours.py", variant), folder))
                for variant in ("bare", "pipeline")
            }
            costs: dict[str, list[float]] = {variant: [] for variant in workers}
            for number in range(rounds):
                for variant in sorted(workers, reverse=bool(number % 2)):
                    costs[variant].append(_frame_ms(_run(workers[variant], frames)))
        ratios = tuple(b / a for a, b in zip(costs["bare"], costs["pipeline"], strict=True))
        is_slow = statistics.median(costs["bare"]) >= SLOW_INVOKE_MS
        share = 0.99 if is_slow else 0.97
        name = model_file.read(model).description.name
        outcomes.append(
            Outcome(
                f"pipeline over bare invoke, {name}",
                listed(costs, "ms/frame"),
                ratios,
                1 / share,
                f"{share:g} of the invoke's rate",
            )
        )
    return outcomes


def cameras(process: EdgeProcess, clip: Path, *, rounds: int, frames: int) -> list[Outcome]:
    """Return what 1, 2 and 4 cameras of one process cost together: time, fairness and memory."""
    windows: dict[int, list[Window]] = {count: [] for count in CAMERAS}
    for number in range(rounds):
        for count in CAMERAS if number % 2 else reversed(CAMERAS):
            lead, timed = LEAD_FRAMES * count, frames * count
            windows[count].append(process.run(clip, lead=lead, frames=timed, cameras=count))
    total_ms = {str(n): [1e3 / window.rate_hz for window in found] for n, found in windows.items()}
    most = max(CAMERAS)
    pairs = list(zip(windows[1], windows[most], strict=True))
    shares = [list(window.cameras.values()) for window in windows[most]]
    return [
        Outcome(
            "time of all cameras' frames, by cameras",
            listed(total_ms, "ms/frame"),
            tuple(one.rate_hz / many.rate_hz for one, many in pairs),
            1.03,
            "as of one",
        ),
        Outcome(
            "fastest camera over slowest",
            f"{most} cameras",
            tuple(max(share) / min(share) for share in shares),
            1.1,
            "equal shares",
        ),
        Outcome(
            "memory of a further camera",
            f"{most} cameras of one process",
            tuple((many.rss_mib - one.rss_mib) / (most - 1) for one, many in pairs),
            35.0,
            "a capture thread and its buffers",
            unit="MiB",
        ),
    ]


def _run(worker: Worker, frames: int) -> dict[str, Any]:
    return worker.run("clip", lead=LEAD_FRAMES, frames=frames)


def _frame_ms(window: dict[str, Any]) -> float:
    elapsed_ms: float = window["elapsed_s"] * 1e3
    return elapsed_ms / int(window["frames"])


@contextmanager
def _folder(model: Path, clip: Path) -> Iterator[Path]:
    """Make a folder as the workers of this runtime want it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "contract.json").write_text(json.dumps({"file": str(model.resolve())}))
        (folder / "clip.mp4").symlink_to(clip)
        yield folder
