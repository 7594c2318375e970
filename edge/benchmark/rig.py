"""One setting, loaded: it invokes bare, or runs the whole pipeline for a while."""

from __future__ import annotations

import math
import os
import threading
import time
from array import array
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge import app
from edge.benchmark.result import Missing, Setting
from edge.capture.latest import CaptureThread, Turns
from edge.capture.registry import open_source
from edge.cores import Cores, available_cores, confined
from edge.errors import DelegateError, SourceError
from edge.pipeline import Behaviour, Pipeline
from edge.publisher import Publisher, ResultTeller, open_encoder
from edge.results.observation import STAGES
from edge.sinks.jsonl import JsonlSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from edge.config.sections import Config
    from edge.model.model_file import ModelFile
    from edge.results.observation import Observation

PUBLISH, AGE, END_TO_END = "publish", "age", "end to end"
COLUMNS = (*STAGES, PUBLISH, AGE, END_TO_END)
NS_PER_MS = 1e6
# Bare invokes of a window, at least.
MIN_INVOKES = 3
# A window that is shorter than a source takes to start still waits for its first frame.
FIRST_FRAME_S, LOOK_S = 5.0, 0.01


class Recorder:
    """A consumer that passes results on, and notes when each was out.

    Args:
        consumers: Told of each frame, in order; what they take is the stage `publish`.

    Attributes:
        frames: Published so far.
        dropped: Frames replaced unseen so far.
    """

    def __init__(self, *consumers: Callable[[Observation], None]) -> None:
        self.frames = 0
        self.dropped = 0
        self._consumers = consumers
        self._rows_ms = array("f")
        self._published_ns = array("q")

    def __call__(self, observation: Observation) -> None:
        """Pass the frame on, and note its times."""
        started_ns = time.monotonic_ns()
        for consume in self._consumers:
            consume(observation)
        ended_ns = time.monotonic_ns()
        publish_ms = (ended_ns - started_ns) / NS_PER_MS
        stage_ms, age_ms = observation.stage_ms, observation.age_ms
        self._rows_ms.extend(stage_ms.get(stage, math.nan) for stage in STAGES)
        self._rows_ms.extend((publish_ms, age_ms, age_ms + publish_ms))
        self._published_ns.append(ended_ns)
        self.dropped = observation.dropped_frames
        self.frames += 1

    @property
    def rows_ms(self) -> NDArray[np.float32]:
        """`(frames, len(COLUMNS))`, milliseconds; NaN for a stage that the model does not have."""
        return np.array(self._rows_ms, np.float32).reshape(-1, len(COLUMNS))

    @property
    def published_s(self) -> NDArray[np.float64]:
        """`(frames,)`, monotonic clock, seconds."""
        return np.array(self._published_ns) / 1e9


def column(rows_ms: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """Return one column of `(N, len(COLUMNS))` rows."""
    return rows_ms[:, COLUMNS.index(name)].astype(np.float64)


class Bare(NamedTuple):
    """Bare invokes of a while: times `(N,)`, and CPU time of the whole process for one of them."""

    times_ms: NDArray[np.float64]
    cpu_ms: float


class Run(NamedTuple):
    """What the pipeline did for a while.

    Attributes:
        recorder: Its rows.
        started_s: Monotonic clock, when the first frame was taken.
        elapsed_s: From then to the last frame published.
        cpu_s: Of the whole process meanwhile.
        fault: Why it ended before its time; empty if it did not.
    """

    recorder: Recorder
    started_s: float
    elapsed_s: float
    cpu_s: float
    fault: str = ""


class Rig:
    """A model of a configuration with its buffers, on the cores that `edge run` would give it.

    Args:
        config: Its model, camera and device are used.
        file: The model, read.
        available: Cores of the process, counted before any of its threads was confined to some.

    Attributes:
        live: The source of the last run kept its own pace.
        run_by: Backend, version, provider and device that run the model.

    Raises:
        ModelError: The runtime refuses the model.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """

    def __init__(self, config: Config, file: ModelFile, *, available: frozenset[int]) -> None:
        self.setting = setting_of(config, file, available)
        self.config = config
        self.live = False
        self._camera = config.cameras[0]
        threads, workers = self.setting.threads, self.setting.workers
        self._cores = Cores.divide(available, threads=threads * workers)
        self._workers = app.open_workers(config, file, self._cores, threads=threads)
        self._model = self._workers[0].model
        self.run_by = str(self._model.ran)
        self._buffers = self._model.input_buffers()

    def bare(self, duration_s: float) -> Bare:
        """Invoke for a while on what the input holds; of several workers the first one alone."""
        times_ns: list[int] = []
        with confined(self._workers[0].cores):
            cpu_started_s = time.process_time()
            end_ns = time.perf_counter_ns() + round(duration_s * 1e9)
            while len(times_ns) < MIN_INVOKES or time.perf_counter_ns() < end_ns:
                started_ns = time.perf_counter_ns()
                self._model.invoke_bare()
                times_ns.append(time.perf_counter_ns() - started_ns)
            cpu_s = time.process_time() - cpu_started_s
        return Bare(np.array(times_ns) / NS_PER_MS, cpu_s * 1e3 / len(times_ns))

    def run(self, duration_s: float) -> Run:
        """Run the pipeline from the source's first frame, for a while or to the source's end.

        Results are encoded as `edge run` does, and written to the null device.

        Raises:
            EdgeError: The source cannot be opened, or gave no frame.
        """
        with ExitStack() as stack:
            # Every thread that is started from here on inherits this.
            stack.enter_context(confined(self._cores.others))
            null = stack.enter_context(open(os.devnull, "wb"))  # noqa: PTH123 - no path to build
            encoder = open_encoder(self.config, self._model.description)
            recorder = Recorder(Publisher(encoder, JsonlSink(null), [ResultTeller(encoder)]))
            source = stack.enter_context(open_source(self._camera.source, self._camera.options))
            self.live = source.live
            capture = CaptureThread(source, self._buffers, camera=self._camera.name)
            stack.callback(capture.stop)
            pipeline = Pipeline(
                Turns([capture]), Behaviour(self._model), [recorder], workers=self._workers
            )
            capture.start()
            return _run_for(pipeline, recorder, duration_s)


def _run_for(pipeline: Pipeline, recorder: Recorder, duration_s: float) -> Run:
    """Run until the time is up; a source that breaks after its first frame has given some."""
    stopped, ended = threading.Event(), threading.Event()
    patient_until_s = time.monotonic() + FIRST_FRAME_S

    def stop() -> None:
        while not recorder.frames and not ended.wait(LOOK_S) and time.monotonic() < patient_until_s:
            pass
        stopped.set()
        pipeline.stop()

    timer = threading.Timer(duration_s, stop)
    timer.daemon = True
    began_s = time.monotonic()
    cpu_started_s = time.process_time()
    fault = ""
    timer.start()
    try:
        pipeline.run()
    except SourceError as error:
        if not recorder.frames:
            raise
        fault = f"the source broke after {recorder.frames} frames: {error}"
    finally:
        timer.cancel()
        ended.set()
    cpu_s = time.process_time() - cpu_started_s
    if not recorder.frames:
        raise SourceError(
            f"the source gave no frame within {max(duration_s, FIRST_FRAME_S):g} s; see whether it "
            "gives any with: edge run --source URI --frames 1"
        )
    elapsed_s = float(recorder.published_s[-1]) - began_s
    if not stopped.is_set() and not fault:
        fault = f"the source ended after {recorder.frames} frames, {elapsed_s:.1f} s"
    # Without the source's start: from the first frame that the loop took.
    summary_s = pipeline.times.summary().elapsed_s
    started_s = float(recorder.published_s[-1]) - summary_s
    return Run(recorder, started_s, max(summary_s, 1e-9), cpu_s, fault)


def setting_of(config: Config, file: ModelFile, available: frozenset[int]) -> Setting:
    """Return what a configuration makes of a model."""
    return Setting(
        model=file.description.name,
        file=file.path.name,
        digest=file.description.digest,
        threads=app.interpreter_threads(config, available),
        workers=config.model.workers,
        delegate=config.model.delegate,
    )


def load_rigs(configs: Iterable[Config]) -> tuple[list[Rig], list[Missing]]:
    """Load each configuration's model; files that several share are read once.

    Settings whose delegate cannot be loaded are returned as missing, unless that is all of them.
    """
    files: dict[object, ModelFile] = {}
    rigs: list[Rig] = []
    missing: list[Missing] = []
    available = available_cores()
    for config in configs:
        key = config.model.file, config.model.description
        file = files[key] if key in files else files.setdefault(key, app.model_file(config))
        try:
            rigs.append(Rig(config, file, available=available))
        except DelegateError as error:
            missing.append(Missing(setting=setting_of(config, file, available), reason=str(error)))
    if not rigs:
        raise DelegateError("\n".join(dict.fromkeys(found.reason for found in missing)))
    return rigs, missing
