"""The frame loop: invoke on one thread; what comes after it, and the sinks, on another.

While frame n + 1 is invoked, frame n is decoded and published, and the source's thread reads and
preprocesses frame n + 2; LiteRT and OpenCV let the GIL go meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from edge.clock import NS_PER_MS, StageClock
from edge.cores import available_cores, confined
from edge.errors import EdgeError, SinkClosed
from edge.metrics import StageTimes
from edge.results.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.frame import Frame
    from edge.input_buffer import InputBuffer
    from edge.metrics import Summary
    from edge.model.spec import Tensors
    from edge.placement import Placement
    from edge.results.observation import Result
    from edge.tasks import Tally

# One set is decoded while the other is written. A third would only add to a frame's age.
TENSOR_SETS = 2
# How soon a loop that waits sees a stop.
TAKE_TIMEOUT_S = 0.5
JOIN_TIMEOUT_S = 5.0


class FrameSource(Protocol):
    """Where the loop takes frames from; `edge.capture.latest.CaptureThread` is one."""

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""

    @property
    def dropped(self) -> int:
        """Frames replaced unseen before the one that was taken last."""

    def take(self, timeout_s: float) -> Frame[InputBuffer] | None:
        """Return the newest frame not yet taken, or `None` at the end or after the timeout."""


class Model(Protocol):
    """A loaded model whose stages the loop calls and times.

    `invoke` has one thread, `decode` another; they share the tensors alone.
    """

    def output_buffers(self) -> Tensors:
        """Return new buffers for the raw outputs, owned by the caller."""

    def invoke(self, buffer: InputBuffer, *, out: Tensors) -> None:
        """Run the model on a filled input and copy its raw outputs."""

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Result:
        """Return what was seen, on the source frame; borrowed until the next `decode`."""


class Sink(Protocol):
    """Where observations go."""

    def publish(self, observation: Observation) -> None:
        """Take one frame's results; everything in them is borrowed until this returns."""

    def close(self, timeout_s: float) -> int:
        """Deliver what waits, for so long at most; return how many messages were not delivered."""


@dataclass(frozen=True, slots=True)
class _Invoked:
    """One frame between the two threads: its raw outputs, and the numbers that are still needed.

    By the time it is decoded, its buffer may hold another frame.
    """

    tensors: Tensors
    frame: Frame[InputBuffer]
    placement: Placement
    invoke_ns: int
    dropped: int


class Pipeline:
    """Runs one model on one source until it ends or `stop` is called.

    Two sets of tensors circulate between the threads. When the sinks are slower than the
    interpreter, invoking waits for them: a frame that cost an invoke is never thrown away, the
    source's slot drops instead.

    Args:
        source: Where frames come from; started by the caller.
        model: Its stages.
        sinks: Told of each frame, in order.
        camera: Name of the source.
        cores: Where the thread that invokes may run.
        tally: Counts what was seen.
    """

    def __init__(  # noqa: PLR0913 - one loop, and what it is told by name
        self,
        source: FrameSource,
        model: Model,
        sinks: Sequence[Sink],
        *,
        camera: str = "camera",
        cores: frozenset[int] | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._tally = tally
        self._camera = camera
        self.times = StageTimes()
        self._source = source
        self._model = model
        self._sinks = tuple(sinks)
        self._cores = cores or available_cores()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._free: queue.SimpleQueue[Tensors] = queue.SimpleQueue()
        self._invoked: queue.SimpleQueue[_Invoked | None] = queue.SimpleQueue()
        for _ in range(TENSOR_SETS):
            self._free.put(model.output_buffers())

    def run(self, *, max_frames: int | None = None) -> None:
        """Process frames until the source ends, `stop` is called, or so many frames are done.

        Raises:
            EdgeError: The source or a sink failed; the first failure of either thread.
        """
        worker = threading.Thread(target=self._finish_frames, name="edge-decode", daemon=True)
        worker.start()
        try:
            with confined(self._cores):
                self._invoke_frames(max_frames)
        finally:
            self._invoked.put(None)
            worker.join(JOIN_TIMEOUT_S)
        if worker.is_alive():
            raise EdgeError(f"thread edge-decode did not end within {JOIN_TIMEOUT_S} s; restart")
        if self._failure is not None and not isinstance(self._failure, SinkClosed):
            raise self._failure

    def summary(self) -> Summary:
        """Return the figures so far, and what was seen."""
        return replace(self.times.summary(), seen=self._tally.text() if self._tally else "")

    def stop(self) -> None:
        """Make `run` return after the frame at hand; safe from a signal handler."""
        self._stopping.set()

    def _invoke_frames(self, max_frames: int | None) -> None:
        frames = 0
        while frames != max_frames:
            # Tensors first: a frame that waited for them would be an old one.
            tensors = self._next_tensors()
            frame = self._next_frame()
            if tensors is None or frame is None:
                return
            if not frames:
                self.times.start()
            self._invoke(frame, tensors)
            frames += 1

    def _next_tensors(self) -> Tensors | None:
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=TAKE_TIMEOUT_S)
        return None

    def _next_frame(self) -> Frame[InputBuffer] | None:
        while not self._stopping.is_set():
            frame = self._source.take(TAKE_TIMEOUT_S)
            if frame is not None or self._source.ended:
                return frame
        return None

    def _invoke(self, frame: Frame[InputBuffer], tensors: Tensors) -> None:
        placement = frame.buffer.placement
        started_ns = time.monotonic_ns()
        self._model.invoke(frame.buffer, out=tensors)
        invoke_ns = time.monotonic_ns() - started_ns
        self._invoked.put(_Invoked(tensors, frame, placement, invoke_ns, self._source.dropped))

    def _finish_frames(self) -> None:
        try:
            while (invoked := self._invoked.get()) is not None:
                self._finish(invoked)
                self._free.put(invoked.tensors)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread by `run`
            self._failure = error
            self._stopping.set()

    def _finish(self, invoked: _Invoked) -> None:
        frame = invoked.frame
        clock = StageClock()
        clock.add("capture", frame.capture_ns)
        clock.add("preprocess", frame.preprocess_ns)
        clock.add("invoke", invoked.invoke_ns)
        result = self._model.decode(invoked.tensors, invoked.placement, clock)
        decoded_ns = time.monotonic_ns()
        observation = Observation(
            camera=self._camera,
            sequence=frame.sequence,
            captured_utc_ns=frame.captured_utc_ns,
            size_wh=frame.size_wh,
            result=result,
            stage_ms=clock.stage_ms(),
            age_ms=(decoded_ns - frame.captured_ns) / NS_PER_MS,
            dropped_frames=invoked.dropped,
        )
        self.times.add(observation)
        if self._tally:
            self._tally.add(result)
        for sink in self._sinks:
            sink.publish(observation)
