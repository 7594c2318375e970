"""The frame loop: invoke on one thread or several; decode, stages and consumers on another.

While frame n + 1 is invoked, frame n is decoded and published, and the cameras' threads read and
preprocess frame n + 2; LiteRT and OpenCV let the GIL go meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.cores import available_cores, confined
from edge.errors import EdgeError, SinkClosed
from edge.job import Job, in_order, observe
from edge.metrics import StageTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.capture.turns import Turns
    from edge.frame import Frame
    from edge.model.loaded import LoadedModel
    from edge.model.spec import Tensors
    from edge.preprocess import InputBuffer
    from edge.results.observation import Observation
    from edge.stages.registry import Stage

# How soon a loop that waits sees a stop.
TAKE_TIMEOUT_S = 0.5
JOIN_TIMEOUT_S = 5.0
# A slow board takes seconds for one invoke of a large model, and no invoke can be interrupted.
INVOKE_JOIN_TIMEOUT_S = 60.0
EXCHANGE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What may change while frames run: replaced as a whole, between two frames.

    Attributes:
        model: Decodes; of the same file as the one that invokes, by `with_thresholds`.
        stages: In their order.
    """

    model: LoadedModel
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """The model in an interpreter that no other worker uses, and the cores of its thread."""

    model: LoadedModel
    cores: frozenset[int]


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
        self._invoked: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._open = threading.Event()
        self.excuse: Callable[[Exception], bool] = lambda _: False
        self._equip(behaviour)

    def run(self, *, max_frames: int | None = None) -> None:
        """Process frames until the cameras end, `stop` is called, or so many frames are done.

        Raises:
            EdgeError: A camera, an interpreter or a consumer failed; the first failure of all.
        """
        decoding = threading.Thread(target=self._finish_frames, name="edge-decode", daemon=True)
        self._taken = 0
        invoking = [
            threading.Thread(
                target=self._invoke_frames,
                args=(number, max_frames),
                name=f"edge-invoke-{number + 1}",
                daemon=True,
            )
            for number in range(1, len(self._workers))
        ]
        for thread in (decoding, *invoking):
            thread.start()
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
        self._open.clear()  # first, so that who waits for a frame lets the lock go
        try:
            with self._taking:
                tensors = self._all_tensors(timeout_s)
                try:
                    between()
                except BaseException:
                    self._give_back(tensors)
                    raise
                self._workers = tuple(workers)
                self.behaviour = behaviour
                self._equip(behaviour)
        finally:
            self._open.set()

    def _all_tensors(self, timeout_s: float) -> list[Tensors]:
        """Wait until no frame is at hand, and take the tensors that were theirs."""
        deadline = time.monotonic() + timeout_s
        tensors: list[Tensors] = []
        try:
            while len(tensors) <= len(self._workers):
                tensors.append(self._free.get(timeout=max(0, deadline - time.monotonic())))
        except queue.Empty as error:
            self._give_back(tensors)
            raise EdgeError(
                f"the frames at hand took longer than {timeout_s:g} s; see whether a sink is held "
                "up, and try again"
            ) from error
        return tensors

    def _give_back(self, tensors: list[Tensors]) -> None:
        for each in tensors:
            self._free.put(each)

    def relieve(self, workers: Sequence[Worker]) -> None:
        """Have others invoke that take the same tensors, from the next frame on; any thread."""
        self._workers = tuple(workers)

    def _equip(self, behaviour: Behaviour) -> None:
        # Behind one camera's frame another worker may take its next, into the same buffer.
        several = len(self._workers) > 1
        self._inputs = [each.model.input_buffer() if several else None for each in self._workers]
        for _ in range(len(self._workers) + 1):
            self._free.put(behaviour.model.output_buffers())
        self._open.set()

    def _invoke_frames(self, number: int, max_frames: int | None) -> None:
        with self._ending_at_a_failure(), confined(self._workers[number].cores):
            while job := self._next_job(number, max_frames):
                started_ns = time.monotonic_ns()
                try:
                    self._workers[number].model.invoke(job.buffer, out=job.tensors)
                except Exception as error:
                    if not self.excuse(error):
                        raise
                    job.is_left_out = True
                job.invoke_ns = time.monotonic_ns() - started_ns
                self._invoked.put(job)

    def _next_job(self, number: int, max_frames: int | None) -> Job | None:
        """Take a frame, copied into a worker's own buffer where it has one; `None` at the end."""
        while not self._stopping.is_set():
            self._open.wait(TAKE_TIMEOUT_S)
            with self._taking:
                # Tensors first: a frame that waited for them would be an old one.
                tensors = self._next_tensors() if self._taken != max_frames else None
                frame = self._next_frame() if tensors else None
                if tensors and frame:
                    return self._job(number, tensors, frame)
                if tensors:
                    self._free.put(tensors)
                if self._open.is_set():
                    return None
        return None

    def _job(self, number: int, tensors: Tensors, frame: Frame[InputBuffer]) -> Job:
        if not self._taken:
            self.times.start()
        if own := self._inputs[number]:
            own.take(frame.buffer)
        job = Job(self._taken, tensors, frame, own or frame.buffer, frame.buffer.placement)
        self._taken += 1
        return job

    def _goes_on(self) -> bool:
        return self._open.is_set() and not self._stopping.is_set()

    def _next_tensors(self) -> Tensors | None:
        while self._goes_on():
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=TAKE_TIMEOUT_S)
        return None

    def _next_frame(self) -> Frame[InputBuffer] | None:
        while self._goes_on():
            frame = self._frames.take(TAKE_TIMEOUT_S)
            if frame is not None or self._frames.ended:
                return frame
        return None

    def _finish_frames(self) -> None:
        with self._ending_at_a_failure():
            for job in in_order(iter(self._invoked.get, None)):
                if observation := self._observe(job):
                    self.times.add(observation)
                    for consume in self._consumers:
                        consume(observation)
                self._free.put(job.tensors)

    def _observe(self, job: Job) -> Observation | None:
        if job.is_left_out:
            return None
        try:
            return observe(job, self.behaviour.model, self.behaviour.stages)
        except Exception as error:
            if not self.excuse(error):
                raise
            return None

    @contextlib.contextmanager
    def _ending_at_a_failure(self) -> Iterator[None]:
        """Keep the first failure of any thread for the caller of `run`, and end the others."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised on the caller's thread by `run`
            self._failure = self._failure or error
            self._stopping.set()
