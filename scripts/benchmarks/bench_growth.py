"""What costs grow with: one cost measured at several sizes in turn, and what it may grow by.

Decode, suppression and preprocessing as heads and frames grow, in this process; frames as cameras,
threads and networks grow, of whole pipelines, each a process.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import timeit
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_kernels import ANCHORS, COLUMNS, US_PER_S, decoding, ssd_heads, ssd_spec
from bench_peers_worker import Row, Worker

from edge.model import model_file
from edge.model.description import Thresholds
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_process import EdgeProcess, Window

    from edge.model.model_file import ModelFile

MAX_CANDIDATES = Thresholds(score=0.5, iou=0.6).candidates
CALLS = 60
LARGE_ANCHORS, LARGE_COLUMNS = 25200, 81
NS_PER_US = 1e3
LEAD_FRAMES = 20
CAMERAS = (1, 2, 4)
SLOW_INVOKE_MS = 25.0
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Growth:
    """What one cost does with one size.

    Attributes:
        what: The cost, and what grows.
        unit: Of the cost.
        steps: Label of a size to what returns its cost in one window, smallest first.
        limit: Most that the last step's cost may be of the first's.
        rule: Why, in a few words.
    """

    what: str
    unit: str
    steps: dict[str, Callable[[], float]]
    limit: float
    rule: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table.

    Attributes:
        costs: Median at each step, as text.
        figures: What is compared with the limit, one a round.
        unit: Of the figures; empty for a ratio.
    """

    what: str
    costs: str
    figures: tuple[float, ...]
    limit: float
    rule: str
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the median keeps to the limit."""
        return statistics.median(self.figures) <= self.limit

    def cells(self) -> list[str]:
        """Return the row: what, costs, measured, allowed, verdict."""
        middle, least, most = statistics.median(self.figures), min(self.figures), max(self.figures)
        sign = self.unit or "x"
        return [
            self.what,
            self.costs,
            f"{middle:.2f} {sign} ({least:.2f} to {most:.2f})",
            f"{self.limit:.2f} {sign}: {self.rule}",
            "holds" if self.holds else "**does not hold**",
        ]


def grown(growth: Growth, *, rounds: int) -> Outcome:
    """Measure every step in each round, forwards and backwards in turn; compare round by round."""
    steps = list(growth.steps.items())
    costs: dict[str, list[float]] = {label: [] for label, _ in steps}
    for _, measure in steps:
        measure()  # warms caches and buffers
    for number in range(rounds):
        for label, measure in steps if number % 2 else reversed(steps):
            costs[label].append(measure())
    first, last = costs[steps[0][0]], costs[steps[-1][0]]
    ratios = tuple(b / a for a, b in zip(first, last, strict=True))
    return Outcome(growth.what, listed(costs, growth.unit), ratios, growth.limit, growth.rule)


def listed(costs: dict[str, list[float]], unit: str) -> str:
    """Return each step's median cost."""
    return ", ".join(f"{label}: {rounded(values)}" for label, values in costs.items()) + f" {unit}"


def rounded(values: Sequence[float]) -> str:
    """Return a median with three significant digits."""
    return f"{statistics.median(values):.3g}"


def kernels() -> list[Growth]:
    """Return what is timed on heads like those of an SSD model."""
    return [
        Growth(
            "decode + suppress, by candidates up to the cap",
            "µs",
            {str(n): _head_us(ANCHORS, COLUMNS, n) for n in (25, 100, MAX_CANDIDATES)},
            (MAX_CANDIDATES / 25) ** 2,
            "quadratic",
        ),
        Growth(
            "decode + suppress, by candidates beyond the cap",
            "µs",
            {str(n): _head_us(ANCHORS, COLUMNS, n) for n in (MAX_CANDIDATES, 1000)},
            1.5,
            f"only the best {MAX_CANDIDATES} meet each other",
        ),
        Growth(
            "decode + suppress, by classes",
            "µs",
            {str(n): _head_us(ANCHORS, n + 1, 25) for n in (2, 20, 90, 365)},
            2.0,
            "classes are scanned, not decoded",
        ),
        Growth(
            "decode + suppress, by anchors x classes",
            "µs",
            {f"{n} x 80": _head_us(n, LARGE_COLUMNS, 25) for n in (ANCHORS, 8400, LARGE_ANCHORS)},
            LARGE_ANCHORS / ANCHORS,
            "linear",
        ),
        Growth(
            "preprocess, by frame",
            "µs",
            {
                f"{height}p": _fill_us((width, height))
                for width, height in ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
            },
            1.4,
            "the resize reads what it needs",
        ),
    ]


def per_score(*, rounds: int) -> Outcome:
    """Return the nanoseconds that each score of a large head costs."""
    measure = _head_us(LARGE_ANCHORS, LARGE_COLUMNS, 25)
    scores = LARGE_ANCHORS * LARGE_COLUMNS
    figures = tuple(measure() * NS_PER_US / scores for _ in range(rounds))
    name = "decode + suppress, of each score"
    sizes = f"{LARGE_ANCHORS} x {LARGE_COLUMNS - 1}"
    return Outcome(name, sizes, figures, 0.3, "what compiled code takes", unit="ns")


def _head_us(anchors: int, columns: int, candidates: int) -> Callable[[], float]:
    """Return what times a frame of which so many scores pass."""
    spec = ssd_spec(anchors, columns)
    frame, heads = decoding(spec), ssd_heads(spec, candidates)
    return lambda: timeit.timeit(lambda: frame(heads), number=CALLS) / CALLS * US_PER_S


def _fill_us(size_wh: tuple[int, int]) -> Callable[[], float]:
    width, height = size_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    buffer = InputBuffer(ssd_spec())
    return lambda: timeit.timeit(lambda: buffer.fill(image), number=CALLS) / CALLS * US_PER_S


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
