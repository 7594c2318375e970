"""The frame loop: invoke on one thread or several; decode, stages and consumers on another.

While frame n + 1 is invoked, frame n is decoded and published, and the cameras' threads read and
preprocess frame n + 2; LiteRT and OpenCV let the GIL go meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.cores import available_cores, confined
from edge.errors import EdgeError, SinkClosed
from edge.frame import NS_PER_MS, StageClock
from edge.metrics import StageTimes
from edge.results.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge.capture.latest import Turns
    from edge.frame import Frame, Placement
    from edge.model.loaded import LoadedModel
    from edge.model.spec import Tensors
    from edge.preprocess import InputBuffer
    from edge.stages.registry import Stage

# How soon a loop that waits sees a stop.
TAKE_TIMEOUT_S = 0.5
JOIN_TIMEOUT_S = 5.0
# A slow board takes seconds for one invoke of a large model, and no invoke can be interrupted.
INVOKE_JOIN_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What may change while frames run: replaced as a whole, between two frames.

    Attributes:
        model: Of the same file as the one that the pipeline began with, by `with_thresholds`.
        stages: In their order.
    """

    model: LoadedModel
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """The model in an interpreter that no other worker uses, and the cores of its thread."""

    model: LoadedModel
    cores: frozenset[int]


@dataclass(slots=True)
class _Job:
    """One frame between the threads.

    Attributes:
        number: Its place among all frames that were taken.
        buffer: Holds it until it is invoked, and maybe the next one then.
        placement: Of this one.
    """

    number: int
    tensors: Tensors
    frame: Frame[InputBuffer]
    buffer: InputBuffer
    placement: Placement
    invoke_ns: int = 0


class Pipeline:
    """Runs one model on the frames of one or more cameras until they end or `stop` is called.

    With one worker the caller's thread invokes; each further one has a thread of its own. Frames
    are taken by one worker at a time, and go on in the order in which they were taken.

    Sets of output tensors circulate between the threads, one more than there are workers: that one
    is decoded while the others are written, and a further one would only add to a frame's age. When
    the consumers are slower than the interpreters, invoking waits for them: a frame that cost an
    invoke is never thrown away, the cameras' slots drop instead.

    Args:
        frames: Where frames come from; started by the caller.
        behaviour: The model, and what comes after it.
        consumers: Called with each observation, in order; it is borrowed until they return.
        workers: What invokes; by default the behaviour's model, on all cores.

    Attributes:
        times: What each stage took.
        behaviour: Assign another one to change it; the next frame that is decoded follows it.
    """

    def __init__(
        self,
        frames: Turns[InputBuffer],
        behaviour: Behaviour,
        consumers: Sequence[Callable[[Observation], None]],
        *,
        workers: Sequence[Worker] = (),
    ) -> None:
        self._workers = tuple(workers) or (Worker(behaviour.model, available_cores()),)
        self.times = StageTimes(interpreters=len(self._workers))
        self.behaviour = behaviour
        self._frames = frames
        self._consumers = tuple(consumers)
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._taking = threading.Lock()
        self._taken = 0
        self._free: queue.SimpleQueue[Tensors] = queue.SimpleQueue()
        self._invoked: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        for _ in range(len(self._workers) + 1):
            self._free.put(behaviour.model.output_buffers())

    def run(self, *, max_frames: int | None = None) -> None:
        """Process frames until the cameras end, `stop` is called, or so many frames are done.

        Raises:
            EdgeError: A camera, an interpreter or a consumer failed; the first failure of all.
        """
        decoding = threading.Thread(target=self._finish_frames, name="edge-decode", daemon=True)
        first, *others = self._workers
        self._taken = 0
        invoking = [
            threading.Thread(
                target=self._invoke_frames,
                args=(worker, max_frames),
                name=f"edge-invoke-{number}",
                daemon=True,
            )
            for number, worker in enumerate(others, 2)
        ]
        for thread in (decoding, *invoking):
            thread.start()
        self._invoke_frames(first, max_frames)
        for thread in invoking:
            thread.join(INVOKE_JOIN_TIMEOUT_S)
        self._invoked.put(None)
        decoding.join(JOIN_TIMEOUT_S)
        if late := [thread.name for thread in (*invoking, decoding) if thread.is_alive()]:
            raise EdgeError(f"thread {late[0]} did not end in time; restart")
        if self._failure is not None and not isinstance(self._failure, SinkClosed):
            raise self._failure

    def stop(self) -> None:
        """Make `run` return after the frames at hand; safe from a signal handler."""
        self._stopping.set()

    def _invoke_frames(self, worker: Worker, max_frames: int | None) -> None:
        with self._ending_at_a_failure(), confined(worker.cores):
            # Behind one camera's frame another worker may take its next, into the same buffer.
            own = worker.model.input_buffer() if len(self._workers) > 1 else None
            while job := self._next_job(max_frames, own):
                started_ns = time.monotonic_ns()
                worker.model.invoke(job.buffer, out=job.tensors)
                job.invoke_ns = time.monotonic_ns() - started_ns
                self._invoked.put(job)

    def _next_job(self, max_frames: int | None, own: InputBuffer | None) -> _Job | None:
        """Take a frame, copied into a worker's own buffer where it has one; `None` at the end."""
        with self._taking:
            # Tensors first: a frame that waited for them would be an old one.
            tensors = self._next_tensors() if self._taken != max_frames else None
            frame = self._next_frame() if tensors else None
            if tensors is None or frame is None:
                return None
            if not self._taken:
                self.times.start()
            if own:
                own.take(frame.buffer)
            job = _Job(self._taken, tensors, frame, own or frame.buffer, frame.buffer.placement)
            self._taken += 1
            return job

    def _next_tensors(self) -> Tensors | None:
        while not self._stopping.is_set():
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=TAKE_TIMEOUT_S)
        return None

    def _next_frame(self) -> Frame[InputBuffer] | None:
        while not self._stopping.is_set():
            frame = self._frames.take(TAKE_TIMEOUT_S)
            if frame is not None or self._frames.ended:
                return frame
        return None

    def _finish_frames(self) -> None:
        with self._ending_at_a_failure():
            for job in _in_order(iter(self._invoked.get, None)):
                observation = _observe(job, self.behaviour)
                self.times.add(observation)
                for consume in self._consumers:
                    consume(observation)
                self._free.put(job.tensors)

    @contextlib.contextmanager
    def _ending_at_a_failure(self) -> Iterator[None]:
        """Keep the first failure of any thread for the caller of `run`, and end the others."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised on the caller's thread by `run`
            self._failure = self._failure or error
            self._stopping.set()


def _in_order(invoked: Iterable[_Job]) -> Iterator[_Job]:
    """Yield what several workers finished by its number; what came too early waits."""
    early: dict[int, _Job] = {}
    number = 0
    for job in invoked:
        early[job.number] = job
        while number in early:
            yield early.pop(number)
            number += 1


def _observe(job: _Job, behaviour: Behaviour) -> Observation:
    """Decode one frame and lead it through the stages."""
    frame = job.frame
    clock = StageClock()
    clock.add("capture", frame.capture_ns)
    clock.add("preprocess", frame.preprocess_ns)
    clock.add("invoke", job.invoke_ns)
    observation = Observation(
        camera=frame.camera,
        sequence=frame.sequence,
        captured_utc_ns=frame.captured_utc_ns,
        source_ns=frame.source_ns,
        size_wh=frame.size_wh,
        result=behaviour.model.decode(job.tensors, job.placement, clock),
        stage_ms={},
        age_ms=0.0,
        dropped_frames=frame.dropped,
        picture=frame.picture,
    )
    for stage in behaviour.stages:
        observation = stage.process(observation)
        clock.lap(stage.name)
    age_ms = (time.monotonic_ns() - frame.captured_ns) / NS_PER_MS
    return replace(observation, stage_ms=clock.stage_ms(), age_ms=age_ms)
