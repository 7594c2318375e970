"""What a benchmark measured, as its JSON file holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from edge.errors import SourceError
from edge.model.delegates import CPU
from edge.record import Record, Unsound, read_json
from edge.sensors import Sample

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION: Literal[1] = 1


class Host(Record, frozen=True, kw_only=True):
    """What was measured on.

    Attributes:
        board: What the board says it is.
        governor: Of each group of cores, as Linux names them; empty where it does not say.
        load: Mean number of runnable threads over the minute before the run.
        date: UTC, ISO 8601.
    """

    board: str
    os: str
    kernel: str
    cpu: str
    cores: int
    python: str
    runtime: str
    version: str
    governor: str
    load: float
    date: str


class Percentiles(Record, frozen=True, kw_only=True):
    """Of many times, milliseconds; each one is a time that was measured (nearest rank)."""

    count: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


class Window(Record, frozen=True, kw_only=True):
    """One turn of one setting.

    Attributes:
        started_s: Seconds since the run began.
        bare_ms: Median of the bare invokes beside it.
        bare_cpu_ms: CPU time of the whole process for one of them.
        frames: Frames published.
        elapsed_s: From the first frame taken to the last one published.
        cpu_ms: CPU time of the whole process for a frame.
        end_to_end_ms: Median from captured to published.
        dropped: Frames replaced unseen.
    """

    started_s: float
    bare_ms: float
    bare_cpu_ms: float
    frames: int
    elapsed_s: float
    cpu_ms: float
    end_to_end_ms: float
    dropped: int

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.frames / self.elapsed_s

    @property
    def frame_ms(self) -> float:
        """Milliseconds from one published frame to the next."""
        return self.elapsed_s * 1e3 / self.frames


class Setting(Record, frozen=True, kw_only=True):
    """One way to run one model.

    Attributes:
        threads: Of each interpreter.
        workers: Interpreters at the same time.
        delegate: As the configuration names it.
    """

    model: str
    file: str
    digest: str
    threads: int
    workers: int = 1
    delegate: str = CPU

    @property
    def title(self) -> str:
        """The model's name and threads; its workers if several, its delegate if not the CPU."""
        workers = f"{self.workers} workers of " if self.workers > 1 else ""
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        delegate = "" if self.delegate == CPU else f", {self.delegate}"
        return f"{self.model}, {workers}{threads}{delegate}"


class Missing(Record, frozen=True, kw_only=True):
    """A setting that could not be measured, and why."""

    setting: Setting
    reason: str


class Start(Record, frozen=True, kw_only=True):
    """`edge run` started as a process of its own, the disk's cache warm.

    Attributes:
        first_result_s: From the start of the process to its first result, of each start.
        resident_mib: Resident memory after some frames, the median of the starts.
    """

    first_result_s: tuple[float, ...]
    resident_mib: float


class Slice(Record, frozen=True, kw_only=True):
    """A part of a long run: when it began, its rate, and its 99th percentile end to end."""

    at_s: float
    rate_hz: float
    end_to_end_p99_ms: float


class Row(Record, frozen=True, kw_only=True):
    """Everything measured of one setting.

    Attributes:
        bare: Of all bare invokes.
        stages: Stage, `publish`, `age` and `end to end` to its times, over all frames.
        histogram_ms: Upper edges of the bins of `histogram`, end to end; the last bin has none.
        histogram: Frames in each bin.
        sustained: Of the long run, if one was asked for.
        run_by: Backend, version, provider and device that ran it.
    """

    setting: Setting
    windows: tuple[Window, ...]
    bare: Percentiles
    stages: dict[str, Percentiles]
    histogram_ms: tuple[float, ...]
    histogram: tuple[int, ...]
    start: Start | None = None
    sustained: tuple[Slice, ...] = ()
    notes: tuple[str, ...] = ()
    run_by: str = ""


class Instrumentation(Record, frozen=True, kw_only=True):
    """What measuring itself costs: microseconds a frame, and of one look at the sensors."""

    frame_us: float
    sensors_us: float


class Result(Record, frozen=True, kw_only=True):
    """One run of `edge bench`.

    Attributes:
        source: URI of the frames, without what may be a password.
        live: The source keeps its own pace, and late frames are dropped.
        duration_s: Asked for, of each setting, end to end.
        missing: Settings whose delegate could not be loaded.
        samples: Of the sensors, in order.
        absent: Sensors that this board does not have, in words.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    host: Host
    source: str
    live: bool
    duration_s: float
    rows: tuple[Row, ...]
    samples: tuple[Sample, ...]
    absent: tuple[str, ...]
    instrumentation: Instrumentation
    notes: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


def read(path: Path) -> Result:
    """Read a file of `edge bench --json`.

    Raises:
        SourceError: It is missing, no such file, or of another version.
    """
    advice = "make one with: edge bench MODEL --json FILE"
    try:
        return read_json(Result, path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; {advice}") from error
    except Unsound as error:
        # A later version has other fields too; what it is comes first.
        first = min(error.faults, key=lambda fault: fault.place != ("schema_version",))
        raise SourceError(f"{path}: expected JSON of edge bench: {first}; {advice}") from error
