"""How long models take to invoke, measured side by side so that a busy host hits all alike."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

WINDOWS = 12
# Of one model, before the next one's turn: long enough to warm the caches, short enough that all
# models meet the same moment of the host.
WINDOW_MS = 60.0
WARM_UP_INVOKES = 3
QUARTERS = 4
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Latency:
    """The time of one invoke of one model.

    Attributes:
        median_ms: Over windows, of each window's median.
        low_ms: First quartile of the windows' medians.
        high_ms: Third quartile.
        invokes: All that were timed.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    invokes: int


# The models, how to time them, by which clock, and whom to tell.
def measure(  # noqa: PLR0913
    files: Mapping[str, ModelFile],
    *,
    threads: int = 1,
    windows: int = WINDOWS,
    window_ms: float = WINDOW_MS,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress | None = None,
) -> dict[str, Latency]:
    """Time the bare invoke of each model, in interleaved windows.

    In each window every model runs for `window_ms`, and at least once, the first of one window the
    last of the next. What slows the host for a while slows them all.

    Args:
        files: Name to model, all with the runtime's kind of input.
        threads: Of each interpreter.
        windows: >= 2.
        window_ms: Of each model in each window.
        clock: Nanoseconds; of one thread, `time.thread_time_ns` leaves out what others take.
        progress: Called with (windows done, windows).

    Raises:
        ModelError: The runtime refuses a model.
    """
    runners = {name: _loaded(file, threads=threads) for name, file in files.items()}
    names = list(runners)
    medians: dict[str, list[float]] = {name: [] for name in names}
    invokes = dict.fromkeys(names, 0)
    for done in range(1, windows + 1):
        for name in names:
            times_ms = _window(runners[name], window_ms=window_ms, clock=clock)
            medians[name].append(statistics.median(times_ms))
            invokes[name] += len(times_ms)
        names.append(names.pop(0))
        if progress:
            progress(done, windows)
    return {name: _latency(medians[name], invokes[name]) for name in files}


def _loaded(file: ModelFile, *, threads: int) -> LoadedModel:
    """Return a loaded model, warm, its input a noise image: zeros could meet faster kernels."""
    runner = load_model(file, threads=threads)
    width, height = runner.description.input.size_wh
    buffer = InputBuffer(runner.spec)
    buffer.fill(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    tensors = runner.output_buffers()
    for _ in range(WARM_UP_INVOKES):
        runner.invoke(buffer, out=tensors)
    return runner


def _window(runner: LoadedModel, *, window_ms: float, clock: Callable[[], int]) -> list[float]:
    times_ms: list[float] = []
    total_ms = 0.0
    while not times_ms or total_ms < window_ms:
        started_ns = clock()
        runner.invoke_bare()
        times_ms.append((clock() - started_ns) / NS_PER_MS)
        total_ms += times_ms[-1]
    return times_ms


def _latency(medians_ms: list[float], invokes: int) -> Latency:
    low, middle, high = statistics.quantiles(medians_ms, n=QUARTERS, method="inclusive")
    return Latency(middle, low, high, invokes)
