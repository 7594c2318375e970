"""The run itself: windows of all settings in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.benchmark import host
from edge.benchmark.cold_start import measure_start
from edge.benchmark.result import (
    Instrumentation,
    Result,
    Row,
    Slice,
    Start,
    Window,
)
from edge.benchmark.rig import COLUMNS, END_TO_END, Recorder, column, load_rigs
from edge.benchmark.spread import MIN_WINDOWS, percentiles
from edge.capture.registry import shown_source
from edge.cores import SWITCH_INTERVAL_S
from edge.errors import EdgeError
from edge.frame import StageTimes
from edge.model.delegates import CPU
from edge.preprocess import use_one_thread
from edge.results.detections import Detections
from edge.results.observation import STAGES, Observation
from edge.sensors import Sampler, Sensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.benchmark.rig import Rig, Run
    from edge.config.sections import Config
    from edge.terminal.progress import Progress

# Long enough to settle in, short enough that all settings meet the same minutes of the machine.
WINDOW_S = 5.0
MAX_WINDOWS = 24
# Bare invokes beside each window take this share of its time.
BARE_RATIO = 0.25
WARM_UP_RATIO = 0.2
MAX_WARM_UP_S = 2.0
# MLPerf's single-stream scenario: at least so many queries, and so long.
# Source: MLCommons inference rules, "Scenarios".
MLPERF_FRAMES, MLPERF_S = 1024, 60.0
BINS_PER_OCTAVE = 8
MAX_SLICES = 60
# How often the instruments are timed.
TIMED_FRAMES, TIMED_LOOKS = 2000, 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        duration_s: Of each setting, end to end.
        sustained_s: Of a run without a break, of each setting, behind the windows; 0 for none.
        starts: Processes to start for the cold start; 0 for none.
    """

    duration_s: float = MLPERF_S
    sustained_s: float = 0.0
    starts: int = 3

    @property
    def windows(self) -> int:
        """How many of each setting."""
        return max(MIN_WINDOWS, min(MAX_WINDOWS, round(self.duration_s / WINDOW_S)))

    @property
    def window_s(self) -> float:
        """How long each of them."""
        return self.duration_s / self.windows


@dataclass(slots=True)
class _Track:
    """What has been gathered of one setting."""

    rig: Rig
    windows: list[Window] = field(default_factory=list)
    bare: list[NDArray[np.float64]] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    sustained: list[Slice] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)


def measure(
    configs: Sequence[Config],
    plan: Plan,
    *,
    sensors: Sensors | None = None,
    progress: Progress | None = None,
) -> Result:
    """Measure every setting: warm up, windows in turn, sustained runs, cold starts.

    Args:
        configs: One a setting; they differ in model, threads and delegate only.
        plan: How long.
        sensors: Of the board; by default this machine's.
        progress: Called with (turns done, turns).
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    use_one_thread()
    described = host.describe()
    sensors = sensors or Sensors()
    rigs, missing = load_rigs(configs)
    tracks = [_Track(rig) for rig in rigs]
    with Sampler(sensors) as sampler:
        _rounds(tracks, plan, since_s=sampler.started_s, progress=progress)
        for track in tracks if plan.sustained_s else []:
            run = track.rig.run(plan.sustained_s)
            track.sustained = slices(run, since_s=sampler.started_s)
            if run.fault:
                track.notes[f"sustained: {run.fault}"] = None
    rows = tuple(_row(track, plan) for track in tracks)
    return Result(
        host=described,
        source=shown_source(configs[0].cameras[0].source),
        live=tracks[0].rig.live,
        duration_s=plan.duration_s,
        rows=rows,
        samples=tuple(sampler.samples),
        absent=sensors.absent(),
        instrumentation=instrumentation(sensors),
        notes=_notes(described.governor, rows, plan),
        missing=tuple(missing),
    )


def _rounds(tracks: list[_Track], plan: Plan, *, since_s: float, progress: Progress | None) -> None:
    for track in tracks:
        track.rig.run(min(MAX_WARM_UP_S, plan.window_s * (1 + WARM_UP_RATIO)))
    turns = plan.windows * len(tracks)
    for turn in range(turns):
        # Each round begins with another one.
        window, place = divmod(turn, len(tracks))
        _turn(tracks[(window + place) % len(tracks)], plan.window_s, since_s=since_s)
        if progress:
            progress(turn + 1, turns)


def _turn(track: _Track, window_s: float, *, since_s: float) -> None:
    """Half of the bare invokes before the window and half behind it: a drift hits both alike."""
    before = track.rig.bare(window_s * BARE_RATIO / 2)
    run = track.rig.run(window_s)
    behind = track.rig.bare(window_s * BARE_RATIO / 2)
    bare = np.concatenate([before.times_ms, behind.times_ms])
    rows = run.recorder.rows_ms
    track.bare.append(bare)
    track.rows.append(rows)
    track.windows.append(
        Window(
            started_s=run.started_s - since_s,
            bare_ms=float(np.median(bare)),
            bare_cpu_ms=(before.cpu_ms + behind.cpu_ms) / 2,
            frames=run.recorder.frames,
            elapsed_s=run.elapsed_s,
            cpu_ms=run.cpu_s * 1e3 / run.recorder.frames,
            end_to_end_ms=float(np.median(column(rows, END_TO_END))),
            dropped=run.recorder.dropped,
        )
    )
    if run.fault:
        track.notes[run.fault] = None


def slices(run: Run, *, since_s: float) -> list[Slice]:
    """Cut a run into parts of equal length, a second at least, and leave empty ones out."""
    count = max(1, min(MAX_SLICES, int(run.elapsed_s)))
    length_s = run.elapsed_s / count
    at_s = run.recorder.published_s - run.started_s
    times_ms = column(run.recorder.rows_ms, END_TO_END)
    numbers = np.clip(at_s / length_s, 0, count - 1).astype(int)  # (frames,)
    return [
        Slice(
            at_s=run.started_s - since_s + (number + 0.5) * length_s,
            rate_hz=int((numbers == number).sum()) / length_s,
            end_to_end_p99_ms=percentiles(times_ms[numbers == number]).p99_ms,
        )
        for number in range(count)
        if (numbers == number).any()
    ]


def _row(track: _Track, plan: Plan) -> Row:
    rows_ms = np.concatenate(track.rows)
    edges_ms, counts = histogram(column(rows_ms, END_TO_END))
    start = _start(track, plan.starts)
    names = [name for name in COLUMNS if not np.isnan(column(rows_ms, name)).any()]
    return Row(
        setting=track.rig.setting,
        windows=tuple(track.windows),
        bare=percentiles(np.concatenate(track.bare)),
        stages={name: percentiles(column(rows_ms, name)) for name in names},
        histogram_ms=edges_ms,
        histogram=counts,
        start=start,
        sustained=tuple(track.sustained),
        notes=tuple(track.notes),
        run_by=track.rig.run_by,
    )


def _start(track: _Track, starts: int) -> Start | None:
    """Measure the cold start; what prevents it is a note: the run that it follows is not lost."""
    if not starts:
        return None
    if track.rig.setting.delegate != CPU:
        track.notes["no cold start: the device is held by this process"] = None
        return None
    try:
        return measure_start(track.rig.config, starts=starts)
    except EdgeError as error:
        track.notes[f"no cold start: {error}"] = None
        return None


def histogram(times_ms: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Count `(N,)` times in bins of equal ratio; return their upper edges, and the counts."""
    first = math.floor(math.log2(max(times_ms.min(), 1e-3)) * BINS_PER_OCTAVE)
    last = math.ceil(math.log2(max(times_ms.max(), 1e-3)) * BINS_PER_OCTAVE) + 1
    edges = 2.0 ** (np.arange(first, last + 1) / BINS_PER_OCTAVE)
    counts, _ = np.histogram(times_ms, [0.0, *edges[1:]])
    return tuple(edges[1:].round(4).tolist()), tuple(counts.tolist())


def _notes(governor: str, rows: Sequence[Row], plan: Plan) -> tuple[str, ...]:
    notes = []
    if governor and governor != "performance":
        notes.append(
            f"the governor is {governor}, so the clock follows the load; for steady figures type: "
            "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor"
        )
    elif not governor:
        notes.append("no frequency governor: nothing says how the clock was held")
    for row in rows:
        frames = sum(window.frames for window in row.windows)
        elapsed_s = sum(window.elapsed_s for window in row.windows)
        if frames < MLPERF_FRAMES and plan.duration_s < MLPERF_S:
            notes.append(
                f"{row.setting.title}: {frames} frames in {elapsed_s:.1f} s are short of "
                f"{MLPERF_FRAMES} frames or {MLPERF_S:g} s; leave --duration out"
            )
    return tuple(notes)


def instrumentation(sensors: Sensors) -> Instrumentation:
    """Time what measuring adds to each frame, and one look at the sensors' files."""
    observation = Observation(
        camera="camera",
        sequence=0,
        captured_utc_ns=0,
        source_ns=0,
        size_wh=(1280, 720),
        result=Detections.none(),
        stage_ms=dict.fromkeys(STAGES, 1.0),
        age_ms=1.0,
        dropped_frames=0,
    )
    times, recorder = StageTimes(), Recorder()
    times.start()
    started_ns = time.perf_counter_ns()
    for _ in range(TIMED_FRAMES):
        # Of the pipeline's own: six clocks, the stages by name, and its table.
        for _ in range(len(STAGES) + 1):
            time.monotonic_ns()
        times.add(observation)
        recorder(observation)
    frame_us = (time.perf_counter_ns() - started_ns) / 1e3 / TIMED_FRAMES
    started_ns = time.perf_counter_ns()
    for _ in range(TIMED_LOOKS):
        sensors.read(0.0)
    sensors_us = (time.perf_counter_ns() - started_ns) / 1e3 / TIMED_LOOKS
    return Instrumentation(frame_us=frame_us, sensors_us=sensors_us)
