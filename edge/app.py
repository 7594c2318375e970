"""The only place that wires: a configuration in, a running pipeline out."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.capture.latest import CaptureThread
from edge.capture.registry import open_source
from edge.capture.source import SourceOptions
from edge.cores import Cores, available_cores, confined, divided
from edge.errors import SinkError
from edge.messages.envelope import Identity
from edge.messages.message import Message
from edge.model import model_file as models
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Pipeline
from edge.preprocess import use_one_thread
from edge.sinks.fanout import Fanout
from edge.sinks.jsonl import JsonlSink
from edge.sinks.mqtt_credentials import client_id
from edge.tasks import TASKS, refuse_thresholds, task_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config.camera import Camera
    from edge.config.sections import Config
    from edge.input_buffer import InputBuffer
    from edge.messages.envelope import PayloadEncoder
    from edge.metrics import Summary
    from edge.model.description import Description
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.observation import Observation
    from edge.sinks.fanout import Sink

log = logging.getLogger("edge")

# By default a busy Python thread keeps the GIL for 5 ms while a 7 ms invoke waits to go on: 0.55 of
# its speed alone. With 0.5 ms it is 0.88.
SWITCH_INTERVAL_S = 0.0005
# How long a stopping program waits for the broker to take what is left.
DRAIN_S = 5.0
THRESHOLDS = ("score_threshold", "iou_threshold", "max_detections")


def model_file(config: Config) -> ModelFile:
    """Read the configured model, or the built-in one."""
    return models.read(config.model.file or default_model_path())


def open_model(config: Config, file: ModelFile, *, threads: int) -> LoadedModel:
    """Load the model with so many interpreter threads, and the configuration's thresholds.

    Raises:
        ConfigError: A threshold is set that has no meaning for this model.
        ModelError: The runtime refuses the model, or the description does not fit it.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """
    model = config.model
    refuse_thresholds(
        file.description, [key for key in THRESHOLDS if getattr(model, key) is not None]
    )
    thresholds = file.description.thresholds(
        score=model.score_threshold, iou=model.iou_threshold, max_detections=model.max_detections
    )
    return load_model(file, threads=threads, delegate=model.delegate, thresholds=thresholds)


def interpreter_threads(config: Config, available: frozenset[int]) -> int:
    """Return the configured number, or one a core, less one for all that is not the interpreter.

    Args:
        config: Of this run.
        available: Cores of the process, counted before any of its threads was confined to some.
    """
    return config.model.threads or max(1, len(available) - 1)


def source_options(camera: Camera) -> SourceOptions:
    """Return what a camera's section asks of its source."""
    return SourceOptions(
        size_wh=camera.size_wh,
        rate_hz=camera.rate_hz,
        loop=camera.loop,
        realtime=camera.realtime,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is made of, opened."""

    model: LoadedModel
    capture: CaptureThread[InputBuffer]
    publisher: Publisher
    camera: str
    cores: Cores

    def pipeline(self) -> Pipeline:
        """Return a new pipeline of these parts."""
        return Pipeline(
            self.capture,
            self.model,
            [self.publisher],
            camera=self.camera,
            cores=self.cores.interpreter,
            tally=TASKS[self.model.task].tally(self.model.description),
        )


@contextmanager
def opened(config: Config) -> Iterator[Parts]:
    """Open model, sinks and source for the length of the block; the broker is not waited for.

    Raises:
        EdgeError: A part cannot be opened; or results were still undelivered after the block.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    use_one_thread()
    undelivered: list[int] = []
    with ExitStack() as stack:
        available = available_cores()
        threads = interpreter_threads(config, available)
        cores = stack.enter_context(divided(available, threads=threads))
        file = model_file(config)
        with confined(cores.interpreter):
            model = open_model(config, file, threads=threads)
        # Every thread that is started from here on inherits this.
        stack.enter_context(confined(cores.others))
        camera = config.cameras[0]
        source = stack.enter_context(open_source(camera.source, source_options(camera)))
        sink = Fanout(open_sinks(config))
        stack.callback(lambda: undelivered.append(sink.close(DRAIN_S)))
        capture = CaptureThread(source, model.input_buffers())
        stack.callback(capture.stop)
        capture.start()
        publisher = Publisher(
            open_encoder(config, file.description), sink, qos=config.mqtt.qos if config.mqtt else 1
        )
        yield Parts(model, capture, publisher, camera.name, cores)
    if sink.failure:
        raise sink.failure
    if sum(undelivered):
        raise SinkError(
            f"{sum(undelivered)} results were not delivered within {DRAIN_S:g} s of the end; "
            "check the broker and run again"
        )


def run(config: Config, *, max_frames: int | None = None) -> Summary:
    """Run until the source ends, a signal comes, or so many frames are done.

    Raises:
        EdgeError: The model, the source or a sink failed; or results stayed undelivered.
    """
    with opened(config) as parts:
        pipeline = parts.pipeline()
        with _stop_on_signals(pipeline):
            pipeline.run(max_frames=max_frames)
        summary = pipeline.summary()
        log.info(
            "%d frames in %.1f s (%.1f frames/s), %s",
            summary.frames,
            summary.elapsed_s,
            summary.rate_hz,
            summary.seen,
        )
    return summary


class Publisher:
    """Makes one message of each observation, for all sinks."""

    def __init__(self, encoder: PayloadEncoder, sink: Sink, *, qos: Literal[0, 1]) -> None:
        self._encoder = encoder
        self._sink = sink
        self._qos = qos

    def publish(self, observation: Observation) -> None:
        """Encode an observation and send it."""
        topic = self._encoder.topic(observation.camera)
        self._sink.send(Message(topic, self._encoder.encode(observation), qos=self._qos))

    def close(self, timeout_s: float) -> int:
        """Close the sink; return how many messages were not delivered."""
        return self._sink.close(timeout_s)


def open_sinks(config: Config) -> list[Sink]:
    """Return the sinks of a configuration; the broker is not waited for."""
    sinks: list[Sink] = []
    if config.mqtt:
        from edge.sinks.mqtt import MqttSink  # noqa: PLC0415 - paho costs 40 ms

        name = config.device.name
        sinks.append(MqttSink(config.mqtt, name, client_id=client_id(name)))
    if config.writes_jsonl:
        sinks.append(JsonlSink(sys.stdout.buffer))
    return sinks


def open_encoder(config: Config, description: Description) -> PayloadEncoder:
    """Return what makes the messages of this kind of model."""
    identity = Identity(config.device.name, description.name, description.digest)
    encoder = task_for(description).encoder
    return encoder(identity, description, class_map=config.output.class_map)


@contextmanager
def _stop_on_signals(pipeline: Pipeline) -> Iterator[None]:
    previous = {
        number: signal.signal(number, lambda *_: pipeline.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
