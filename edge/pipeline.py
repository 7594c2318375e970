"""The frame loop: invoke on one thread or several; decode, stages and consumers on another.

While frame n + 1 is invoked, frame n is decoded and published, and the cameras' threads read and
preprocess frame n + 2; LiteRT and OpenCV let the GIL go meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.cores import available_cores, confined
from edge.errors import EdgeError, SinkClosed
from edge.frame import NS_PER_MS, StageClock, StageTimes
from edge.results.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
EXCHANGE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What may change between two frames, as a whole: what decodes, by the file that invokes."""

    model: LoadedModel
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """The model in an interpreter that no other worker uses, and the cores of its thread."""

    model: LoadedModel
    cores: frozenset[int]


@dataclass(slots=True)
class _Job:
    """One frame between the threads, the `number`-th; `buffer` is maybe the next one's later."""

    number: int
    tensors: Tensors
    frame: Frame[InputBuffer]
    buffer: InputBuffer
    placement: Placement
    invoke_ns: int = 0
    is_left_out: bool = False


class Pipeline:
    """Runs one model on the frames of one or more cameras until they end or `stop` is called.

    With one worker the caller's thread invokes; each further one has a thread of its own. Frames
    are taken by one worker at a time, and go on in the order in which they were taken.

    Sets of output tensors circulate between the threads, one more than there are workers: that one
    is decoded while the others are written. When the consumers are slower, invoking waits for them:
    a frame that cost an invoke is never thrown away, the cameras' slots drop instead.

    Args:
        frames: Where frames come from; started by the caller.
        behaviour: The model, and what comes after it.
        consumers: Called with each observation, in order; it is borrowed until they return.
        workers: What invokes; by default the behaviour's model, on all cores.

    Attributes:
        times: What each stage took.
        behaviour: Assign another one to change it; the next frame that is decoded follows it.
        workers: Assign others that take the same tensors; they invoke from the next frame on.
        excuse: Asked about a frame that cannot be invoked or decoded whether it is merely left out;
            by default that ends the run.
    """

    def __init__(
        self,
        frames: Turns[InputBuffer],
        behaviour: Behaviour,
        consumers: Sequence[Callable[[Observation], None]],
        *,
        workers: Sequence[Worker] = (),
    ) -> None:
        self.workers = tuple(workers) or (Worker(behaviour.model, available_cores()),)
        self.times = StageTimes(interpreters=len(self.workers))
        self.behaviour = behaviour
        self._frames = frames
        self._consumers = tuple(consumers)
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._taking = threading.Lock()
        self._taken = 0
        self._invoked: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open = threading.Event()  # Whether frames may be taken.
        self._open.set()
        self.excuse: Callable[[Exception], bool] = lambda _: False
        self._equip()

    def run(self, *, max_frames: int | None = None) -> None:
        """Process frames until the cameras end, `stop` is called, or so many frames are done.

        Raises:
            EdgeError: A camera, an interpreter or a consumer failed; the first failure of all.
        """
        self._taken = 0
        decoding = _started("edge-decode", self._finish_frames)
        invoking = [
            _started(f"edge-invoke-{number + 1}", self._invoke_frames, number, max_frames)
            for number in range(1, len(self.workers))
        ]
        self._invoke_frames(0, max_frames)
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

    def exchange(
        self,
        workers: Sequence[Worker],
        behaviour: Behaviour,
        *,
        between: Callable[[], object],
        timeout_s: float = EXCHANGE_TIMEOUT_S,
    ) -> None:
        """Have other interpreters invoke from the next frame on; for no thread of the pipeline.

        Args:
            workers: As many as before, on the same cores.
            behaviour: Of their model.
            between: Called when the last frame of those before was consumed, and before another
                one is taken: gives the captures their buffers, and the consumers their words.
            timeout_s: How long the frames at hand may take.

        Raises:
            EdgeError: They took longer; nothing has changed.
        """
        deadline, free = time.monotonic() + timeout_s, self._free
        tensors: list[Tensors] = []
        self._open.clear()  # first, so that who waits for a frame lets the lock go
        try:
            with self._taking:
                # Until no frame is at hand, as all sets of tensors are here.
                while len(tensors) <= len(self.workers):
                    tensors.append(free.get(timeout=max(0, deadline - time.monotonic())))
                between()
                self.workers = tuple(workers)
                self.behaviour = behaviour
                self._equip()
        except queue.Empty as error:
            raise EdgeError(
                f"the frames at hand took longer than {timeout_s:g} s; see whether a sink is held "
                "up, and try again"
            ) from error
        finally:
            for each in tensors:
                free.put(each)  # where they are wanted no more, this queue is another one's
            self._open.set()

    def _equip(self) -> None:
        # Behind one camera's frame another worker may take its next, into the same buffer.
        several = len(self.workers) > 1
        self._inputs = [each.model.input_buffer() if several else None for each in self.workers]
        self._free: queue.SimpleQueue[Tensors] = queue.SimpleQueue()
        for _ in range(len(self.workers) + 1):
            self._free.put(self.behaviour.model.output_buffers())

    def _invoke_frames(self, number: int, max_frames: int | None) -> None:
        with self._ending_at_a_failure(), confined(self.workers[number].cores):
            while job := self._next_job(number, max_frames):
                started_ns = time.monotonic_ns()
                try:
                    self.workers[number].model.invoke(job.buffer, out=job.tensors)
                except Exception as error:
                    if not self.excuse(error):
                        raise
                    job.is_left_out = True
                job.invoke_ns = time.monotonic_ns() - started_ns
                self._invoked.put(job)

    def _next_job(self, number: int, most: int | None) -> _Job | None:
        """Take a frame, copied into a worker's own buffer where it has one; `None` at the end."""
        while not self._stopping.is_set():
            if not self._open.wait(TAKE_TIMEOUT_S):
                continue  # not for the lock, which an exchange holds: a stop is to be seen
            with self._taking:
                tensors, frame = self._wait(most)
                if tensors and frame:
                    if not self._taken:
                        self.times.start()
                    if own := self._inputs[number]:
                        own.take(frame.buffer)
                    self._taken += 1
                    buffer, placement = own or frame.buffer, frame.buffer.placement
                    return _Job(self._taken - 1, tensors, frame, buffer, placement)
                if tensors:
                    self._free.put(tensors)
                if self._open.is_set():
                    return None
        return None

    def _wait(self, most: int | None) -> tuple[Tensors | None, Frame[InputBuffer] | None]:
        tensors = frame = None
        while self._open.is_set() and not self._stopping.is_set() and self._taken != most:
            if tensors is None:
                # Tensors first: a frame that waited for them would be an old one.
                with contextlib.suppress(queue.Empty):
                    tensors = self._free.get(timeout=TAKE_TIMEOUT_S)
            elif (frame := self._frames.take(TAKE_TIMEOUT_S)) or self._frames.ended:
                break
        return tensors, frame

    def _finish_frames(self) -> None:
        with self._ending_at_a_failure():
            early: dict[int, _Job] = {}  # What a worker finished before another one's.
            for number in itertools.count():
                while number not in early:
                    if (job := self._invoked.get()) is None:
                        return
                    early[job.number] = job
                job = early.pop(number)
                if observation := self._observe(job):
                    self.times.add(observation)
                    for consume in self._consumers:
                        consume(observation)
                self._free.put(job.tensors)

    def _observe(self, job: _Job) -> Observation | None:
        """Decode one frame and lead it through the stages; `None` where a fault was excused."""
        frame, behaviour, clock = job.frame, self.behaviour, StageClock()
        if job.is_left_out:
            return None
        clock.add("capture", frame.capture_ns)
        clock.add("preprocess", frame.preprocess_ns)
        clock.add("invoke", job.invoke_ns if job.placement.invokes else 0)
        try:
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
                look=frame.look,
                heads=job.tensors if job.placement.is_whole else {},
            )
            for stage in behaviour.stages:
                observation = stage.process(observation)
                clock.lap(stage.name)
        except Exception as error:
            if not self.excuse(error):
                raise
            return None
        age_ms = (time.monotonic_ns() - frame.captured_ns) / NS_PER_MS
        return replace(observation, stage_ms=clock.stage_ms(), age_ms=age_ms)

    @contextlib.contextmanager
    def _ending_at_a_failure(self) -> Iterator[None]:
        """Keep the first failure of any thread for the caller of `run`, and end the others."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised on the caller's thread by `run`
            self._failure = self._failure or error
            self._stopping.set()


def _started(name: str, work: Callable[..., object], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
    thread.start()
    return thread
