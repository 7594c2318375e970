"""The frame loop: invoke on one thread; decode, stages and consumers on another.

While frame n + 1 is invoked, frame n is decoded and published, and the cameras' threads read and
preprocess frame n + 2; LiteRT and OpenCV let the GIL go meanwhile.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from edge.cores import available_cores, confined
from edge.errors import EdgeError, SinkClosed
from edge.frame import NS_PER_MS, StageClock
from edge.messages.envelope import Message, camera_status_topic
from edge.metrics import StageTimes
from edge.results.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.capture.latest import Turns
    from edge.capture.reopening import CameraState
    from edge.frame import Frame, Placement
    from edge.messages.envelope import Encoder
    from edge.model.loaded import LoadedModel
    from edge.model.spec import Tensors
    from edge.preprocess import InputBuffer
    from edge.sinks.fanout import Fanout, Sink

# One set is decoded while the other is written. A third would only add to a frame's age.
TENSOR_SETS = 2
# How soon a loop that waits sees a stop.
TAKE_TIMEOUT_S = 0.5
JOIN_TIMEOUT_S = 5.0


class Stage(Protocol):
    """Something that happens to each observation between decode and the consumers.

    Attributes:
        name: Its key in `stage_ms`.
    """

    name: str

    def process(self, observation: Observation) -> Observation:
        """Return the observation to go on with; frames of all cameras come in turn."""


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
class _Invoked:
    """One frame between the two threads.

    Its input buffer may hold the next frame by now; the placement of its own is kept apart.
    """

    tensors: Tensors
    frame: Frame[InputBuffer]
    placement: Placement
    invoke_ns: int


class Pipeline:
    """Runs one model on the frames of one or more cameras until they end or `stop` is called.

    Two sets of output tensors circulate between the threads. When the consumers are slower than the
    interpreter, invoking waits for them: a frame that cost an invoke is never thrown away, the
    cameras' slots drop instead.

    Args:
        frames: Where frames come from; started by the caller.
        behaviour: The model, and what comes after it.
        consumers: Called with each observation, in order; it is borrowed until they return.
        cores: Where the thread that invokes may run.

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
        cores: frozenset[int] | None = None,
    ) -> None:
        self.times = StageTimes()
        self.behaviour = behaviour
        self._frames = frames
        self._model = behaviour.model
        self._consumers = tuple(consumers)
        self._cores = cores or available_cores()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._free: queue.SimpleQueue[Tensors] = queue.SimpleQueue()
        self._invoked: queue.SimpleQueue[_Invoked | None] = queue.SimpleQueue()
        for _ in range(TENSOR_SETS):
            self._free.put(behaviour.model.output_buffers())

    def run(self, *, max_frames: int | None = None) -> None:
        """Process frames until the cameras end, `stop` is called, or so many frames are done.

        Raises:
            EdgeError: A camera or a consumer failed; the first failure of either thread.
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

    def stop(self) -> None:
        """Make `run` return after the frame at hand; safe from a signal handler."""
        self._stopping.set()

    def _invoke_frames(self, max_frames: int | None) -> None:
        count = 0
        while count != max_frames:
            # Tensors first: a frame that waited for them would be an old one.
            tensors = self._next_tensors()
            frame = self._next_frame()
            if tensors is None or frame is None:
                return
            if not count:
                self.times.start()
            self._invoke(frame, tensors)
            count += 1

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

    def _invoke(self, frame: Frame[InputBuffer], tensors: Tensors) -> None:
        placement = frame.buffer.placement
        started_ns = time.monotonic_ns()
        self._model.invoke(frame.buffer, out=tensors)
        invoke_ns = time.monotonic_ns() - started_ns
        self._invoked.put(_Invoked(tensors, frame, placement, invoke_ns))

    def _finish_frames(self) -> None:
        try:
            while (invoked := self._invoked.get()) is not None:
                observation = _observe(invoked, self.behaviour)
                self.times.add(observation)
                for consume in self._consumers:
                    consume(observation)
                self._free.put(invoked.tensors)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread by `run`
            self._failure = error
            self._stopping.set()


def _observe(invoked: _Invoked, behaviour: Behaviour) -> Observation:
    """Decode one frame and lead it through the stages."""
    frame = invoked.frame
    clock = StageClock()
    clock.add("capture", frame.capture_ns)
    clock.add("preprocess", frame.preprocess_ns)
    clock.add("invoke", invoked.invoke_ns)
    observation = Observation(
        camera=frame.camera,
        sequence=frame.sequence,
        captured_utc_ns=frame.captured_utc_ns,
        size_wh=frame.size_wh,
        result=behaviour.model.decode(invoked.tensors, invoked.placement, clock),
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


class Publisher:
    """A consumer of observations that tells a sink of each, whose message is made once for all."""

    def __init__(self, encoder: Encoder, sink: Fanout | Sink, *, qos: Literal[0, 1] = 1) -> None:
        self._encoder = encoder
        self._sink = sink
        self._qos = qos

    def __call__(self, observation: Observation) -> None:
        """Encode an observation and send it."""
        topic = self._encoder.topic(observation.camera)
        self._sink.send(Message(topic, self._encoder.encode(observation), qos=self._qos))

    def tell_camera(self, camera: str, state: CameraState) -> None:
        """Say whether a camera gives frames; kept by the broker for who asks later."""
        topic = camera_status_topic(self._encoder.device, camera)
        self._sink.send(Message(topic, state.encode(), retain=True, policy="state"))
