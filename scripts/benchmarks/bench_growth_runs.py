"""What frames cost as cameras, threads and networks grow: whole pipelines in their own processes.

Several cameras are several processes, as several `edge run` are.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_growth import Growth, Outcome, listed
from bench_peers_worker import Row, Worker

from edge.model import model_file
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def cameras(model: Path, clip: Path, *, rounds: int, frames: int) -> list[Outcome]:
    """Return what 1, 2 and 4 cameras cost together: time, fairness and memory."""
    total_ms: dict[str, list[float]] = {str(count): [] for count in CAMERAS}
    unfairness: list[float] = []
    with _folder(model, clip) as folder, ExitStack() as stack:
        row = Row("camera", "ours.py", "pipeline")
        workers = [stack.enter_context(Worker(row, folder)) for _ in range(max(CAMERAS))]
        pool = stack.enter_context(ThreadPoolExecutor(max(CAMERAS)))
        for number in range(rounds):
            for count in CAMERAS if number % 2 else reversed(CAMERAS):
                windows = list(pool.map(lambda w: _run(w, frames), workers[:count]))
                rates = [1 / _frame_ms(window) for window in windows]
                total_ms[str(count)].append(1 / sum(rates))
                if count == max(CAMERAS):
                    unfairness.append(max(rates) / min(rates))
        memory_mib = [_pss_mib(worker.pid) for worker in workers]
    first, last = total_ms[str(CAMERAS[0])], total_ms[str(CAMERAS[-1])]
    ratios = tuple(b / a for a, b in zip(first, last, strict=True))
    costs = listed(total_ms, "ms/frame")
    shares = f"{max(CAMERAS)} cameras"
    return [
        Outcome("time of all cameras' frames, by cameras", costs, ratios, 1.03, "as of one"),
        Outcome("fastest camera over slowest", shares, tuple(unfairness), 1.1, "equal shares"),
        Outcome(
            "memory of a further camera",
            "a process each, shared pages divided",
            tuple(memory_mib),
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


def _pss_mib(pid: int) -> float:
    """Return a process' memory, its shared pages divided among those that share them, MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/{pid}/smaps_rollup has no Pss")
