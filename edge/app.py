"""The only place that wires: a configuration in, a running pipeline out."""

from __future__ import annotations

import logging
import secrets
import signal
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.capture.latest import CaptureThread
from edge.capture.registry import open_lasting
from edge.cores import Cores, available_cores, confined, divided
from edge.decode.segmentation import SegmentationHead
from edge.errors import SinkError
from edge.messages.detections import DetectionsEncoder
from edge.messages.envelope import Identity
from edge.messages.segmentation import SegmentationEncoder
from edge.model import model_file as models
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Pipeline
from edge.preprocess import use_one_thread
from edge.sinks.jsonl import JsonlSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config.mqtt import Mqtt
    from edge.config.sections import Config
    from edge.messages.envelope import PayloadEncoder
    from edge.metrics import Summary
    from edge.model.description import Description
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.pipeline import Sink
    from edge.preprocess import InputBuffer

log = logging.getLogger("edge")

# By default a busy Python thread keeps the GIL for 5 ms while a 7 ms invoke waits to go on: 0.55 of
# its speed alone. With 0.5 ms it is 0.88.
SWITCH_INTERVAL_S = 0.0005
# How long a stopping program waits for the broker to take what is left.
DRAIN_S = 5.0
LARGEST_AREAS = 5


def model_file(config: Config) -> ModelFile:
    """Read the configured model, or the built-in one."""
    return models.read(config.model.file or default_model_path())


def open_model(config: Config, file: ModelFile, *, threads: int) -> LoadedModel:
    """Load the model with so many interpreter threads, and the configuration's thresholds."""
    model = config.model
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is made of, opened."""

    model: LoadedModel
    capture: CaptureThread[InputBuffer]
    sinks: list[Sink]
    cores: Cores

    def pipeline(self) -> Pipeline:
        """Return a new pipeline of these parts."""
        return Pipeline(self.capture, self.model, self.sinks, cores=self.cores.interpreter)


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
        source = stack.enter_context(open_lasting(camera.source, camera.options))
        sinks = open_sinks(config, file)
        stack.callback(lambda: undelivered.extend(sink.close(DRAIN_S) for sink in sinks))
        capture = CaptureThread(source, model.input_buffers(), camera=camera.name)
        stack.callback(capture.stop)
        capture.start()
        yield Parts(model, capture, sinks, cores)
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
        summary = pipeline.times.summary()
        log.info(
            "%d frames in %.1f s (%.1f frames/s), %s",
            summary.frames,
            summary.elapsed_s,
            summary.rate_hz,
            seen_text(summary, parts.model.description),
        )
    return summary


def seen_text(summary: Summary, description: Description) -> str:
    """Return what a run saw in a few words: detections, or the classes with the largest areas."""
    head = description.head
    if not isinstance(head, SegmentationHead):
        return f"{summary.detections} detections"
    ratios = summary.area_ratios
    covered = {class_id for class_id, ratio in enumerate(ratios) if ratio > 0}
    seen = covered - {head.background}
    largest = sorted(seen, key=lambda class_id: (-ratios[class_id], class_id))[:LARGEST_AREAS]
    areas = [f"{description.labels[class_id]} {ratios[class_id]:.1%}" for class_id in largest]
    return f"mean area: {', '.join(areas) or 'background only'}"


def open_sinks(config: Config, file: ModelFile) -> list[Sink]:
    """Return the sinks of a configuration; the broker is not waited for."""
    identity = Identity(
        device=config.device.name,
        camera=config.cameras[0].name,
        model_name=file.description.name,
        model_digest=file.description.digest,
    )
    encoder = open_encoder(config, file.description, identity)
    sinks: list[Sink] = []
    if config.mqtt:
        sinks.append(_mqtt_sink(config, config.mqtt, encoder))
    if config.writes_jsonl:
        sinks.append(JsonlSink(sys.stdout.buffer, encoder))
    return sinks


def open_encoder(config: Config, description: Description, identity: Identity) -> PayloadEncoder:
    """Return what makes the messages of this kind of model."""
    head = description.head
    if isinstance(head, SegmentationHead):
        return SegmentationEncoder(
            identity,
            description.labels,
            background=head.background,
            class_map=config.output.class_map,
        )
    return DetectionsEncoder(identity, description.labels)


def _mqtt_sink(config: Config, mqtt: Mqtt, encoder: PayloadEncoder) -> Sink:
    from edge.sinks.mqtt import MqttSettings, MqttSink  # noqa: PLC0415 - paho costs 40 ms

    settings = MqttSettings(
        host=mqtt.host,
        port=mqtt.port,
        tls=mqtt.tls,
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        # Two units with one client id throw each other off the broker for ever.
        client_id=f"edge-{config.device.name}-{config.cameras[0].name}-{secrets.token_hex(3)}",
        keepalive_s=mqtt.keepalive_s,
        qos=mqtt.qos,
        outbox_messages=mqtt.outbox_messages,
    )
    return MqttSink(settings, encoder)


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
