"""The only place that wires: a configuration in, a running pipeline out."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge.capture.latest import CaptureThread, Turns
from edge.capture.registry import open_lasting
from edge.config.paths import state_folder
from edge.cores import Cores, available_cores, confined, divided, switching_soon
from edge.errors import SinkError
from edge.model import engines, proof, trial
from edge.model import model_file as models
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline, Worker
from edge.preprocess import use_one_thread
from edge.publisher import Publisher, ResultTeller
from edge.sinks.fanout import Fanout
from edge.sinks.registry import open_sinks, receiver
from edge.stages.registry import open_stages
from edge.tasks import THRESHOLDS, refuse_regions, refuse_thresholds, refuse_tracking, task_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge.capture.reopening import CameraState
    from edge.config.camera import Camera
    from edge.config.regions import Regions
    from edge.config.sections import Config
    from edge.messages.envelope import Encoder
    from edge.model.description import Description, Thresholds
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.preprocess import InputBuffer
    from edge.results.observation import Observation
    from edge.stages.registry import Stage

log = logging.getLogger("edge")

# How long a stopping program waits for the broker to take what is left.
DRAIN_S = 5.0


def read_model(path: Path | None, *, description: Path | None = None) -> ModelFile:
    """Read a model, or the built-in one; one that this user never ran is first run in a child.

    Args:
        path: `None` for the built-in one.
        description: A TOML file that says who the model is; `None` asks the file itself.
    """
    file = models.read(path or default_model_path(), description=description)
    trial.admit(file, state_folder=state_folder())
    return file


def model_file(config: Config) -> ModelFile:
    """Read the configured model, or the built-in one, as `read_model` does."""
    return read_model(config.model.file, description=config.model.description)


def open_model(config: Config, file: ModelFile, *, threads: int) -> LoadedModel:
    """Load and prove the model: so many interpreter threads, the configuration's thresholds."""
    wanted, name = decoder_thresholds(config, file.description), config.model.delegate
    engine = engines.find(file, name, state_folder())
    model = load_model(file, threads=threads, delegate=name, engine=engine, thresholds=wanted)
    proof.check(model, file.manifest.proof if file.manifest else {})
    return model


def open_workers(
    config: Config, file: ModelFile, cores: Cores, *, threads: int
) -> tuple[Worker, ...]:
    """Load the model once for each of `[model] workers`, on the cores of each.

    All read the same bytes of the file; packed weights and tensors are each one's own.
    """
    workers = []
    for own in cores.of_workers(config.model.workers):
        with confined(own):
            workers.append(Worker(open_model(config, file, threads=threads), own))
    return tuple(workers)


def thresholds(config: Config, description: Description) -> Thresholds:
    """Return the configuration's thresholds, the model's own where it has none.

    Raises:
        ConfigError: One is set, or tracking is, that has no meaning for this model.
    """
    model = config.model
    refuse_thresholds(description, [key for key in THRESHOLDS if getattr(model, key) is not None])
    if config.tracking:
        refuse_tracking(description)
    if config.regions:
        refuse_regions(description)
    return description.thresholds(**{name: getattr(model, key) for key, name in THRESHOLDS.items()})


def decoder_thresholds(config: Config, description: Description) -> Thresholds:
    """Return `thresholds`, of which tracking lowers the score's: it passes on what reaches it."""
    wanted = thresholds(config, description)
    low = config.tracking.low_score_threshold if config.tracking else 1.0
    return wanted.changed(score=min(wanted.score, low))


def interpreter_threads(config: Config, available: frozenset[int]) -> int:
    """Return the configured number, or one a core, less one for all that is not an interpreter.

    Several workers share them. The available cores are those of the process, counted before any
    thread was confined to some.
    """
    return config.model.threads or max(1, (len(available) - 1) // config.model.workers)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is made of, opened.

    Attributes:
        workers: At least one.
        captures: One a camera, started.
        publisher: Tells the sinks; `None` where nothing is published.
        config: What they were opened by.
        memory: What the stages keep through a reload, by the name of the stage.
    """

    workers: tuple[Worker, ...]
    captures: tuple[CaptureThread[InputBuffer], ...]
    frames: Turns[InputBuffer]
    publisher: Publisher | None
    cores: Cores
    config: Config
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def model(self) -> LoadedModel:
        """The first worker's."""
        return self.workers[0].model

    def pipeline(
        self,
        consumers: Sequence[Callable[[Observation], None]] = (),
        *,
        stages: tuple[Stage, ...] = (),
    ) -> Pipeline:
        """Return a new pipeline of these parts, which tells the sinks and then the consumers."""
        told: list[Callable[[Observation], None]] = [self.publisher] if self.publisher else []
        behaviour = Behaviour(self.model, self._stages(self.config) + stages)
        return Pipeline(self.frames, behaviour, [*told, *consumers], workers=self.workers)

    def behaviour(self, config: Config) -> Behaviour:
        """Return what frames go by from now on, as a configuration says; tracks go on."""
        model = self.model.decoding_with(decoder_thresholds(config, self.model.description))
        return Behaviour(model, self._stages(config))

    def _stages(self, config: Config) -> tuple[Stage, ...]:
        description = self.model.description
        return open_stages(
            config, description, thresholds=thresholds(config, description), memory=self.memory
        )


@contextmanager
def opened(
    config: Config,
    file: ModelFile | None = None,
    *,
    publish: bool = True,
    picture_px: int | None = None,
) -> Iterator[Parts]:
    """Open model, sinks and cameras for the length of the block; the broker is not waited for.

    Args:
        config: What to open.
        file: Its model, where that was read already.
        publish: Open the sinks as well.
        picture_px: Longest side of the picture that each frame carries; `None` for none.

    Raises:
        EdgeError: A part cannot be opened; or results were still undelivered after the block.
    """
    use_one_thread()
    with ExitStack() as stack:
        stack.enter_context(switching_soon())
        available = available_cores()
        threads = interpreter_threads(config, available)
        wanted = config.model.workers * threads
        if config.model.workers > 1 and wanted > len(available):
            log.warning(
                "[model] workers = %d of %d threads each are more than the %d cores of this "
                "process: they will wait for each other; set fewer",
                *(config.model.workers, threads, len(available)),
            )
        cores = stack.enter_context(divided(available, threads=wanted))
        file = file or model_file(config)
        workers = open_workers(config, file, cores, threads=threads)
        with confined(workers[0].cores):
            proof.tell(workers[0].model, file, threads=threads)
        if config.regions:
            workers = _looking(workers, config.regions)
        model = workers[0].model
        # Every thread that is started from here on inherits this.
        stack.enter_context(confined(cores.others))
        publisher = stack.enter_context(_publishing(config, model)) if publish else None
        changed = threading.Condition()
        captures = tuple(
            stack.enter_context(
                _capturing(
                    camera,
                    model,
                    changed=changed,
                    publisher=publisher,
                    # A camera that is away must not keep the others from being seen.
                    begin_closed=len(config.cameras) > 1,
                    picture_px=picture_px,
                )
            )
            for camera in config.cameras
        )
        yield Parts(workers, captures, Turns(captures), publisher, cores, config)


def _looking(workers: tuple[Worker, ...], settings: Regions) -> tuple[Worker, ...]:
    """Return the workers with models that look at regions; without the section none are loaded."""
    from edge.regions.looking import RegionModel  # noqa: PLC0415

    count = len(workers)
    return tuple(replace(each, model=RegionModel(each.model, settings, count)) for each in workers)


@contextmanager
def _publishing(config: Config, model: LoadedModel) -> Iterator[Publisher]:
    """Open the sinks for the length of the block, and deliver what is left within `DRAIN_S`."""
    sink = Fanout(open_sinks(config.sinks, config.device.name))
    try:
        encoder = open_encoder(config, model.description)
        results = ResultTeller(encoder, qos=config.mqtt.qos if config.mqtt else 1)
        publisher = Publisher(encoder, sink, [results])
        publisher.introduce(model.ran)
        yield publisher
    finally:
        sink.close(DRAIN_S)
    if sink.failure:
        raise sink.failure
    if sink.undelivered:
        faults = [
            f"{name}: {number} results were not delivered within {DRAIN_S:g} s of the end; "
            f"check {receiver(name)} and run again"
            for name, number in sink.undelivered.items()
        ]
        raise SinkError("\n".join(faults))


def open_encoder(config: Config, description: Description) -> Encoder:
    """Return what makes the messages of this kind of model."""
    encoder = task_for(description).encoder
    return encoder(config.device.name, description, class_map=config.output.class_map)


# A camera, the model that it feeds, and all who are told of it.
@contextmanager
def _capturing(  # noqa: PLR0913
    camera: Camera,
    model: LoadedModel,
    *,
    changed: threading.Condition,
    publisher: Publisher | None,
    begin_closed: bool,
    picture_px: int | None,
) -> Iterator[CaptureThread[InputBuffer]]:
    """Read a camera on a thread of its own for the length of the block."""

    def tell(state: CameraState) -> None:
        if publisher:
            publisher.tell_camera(camera.name, state)

    tell("online")
    try:
        with open_lasting(
            camera.source, camera.options, begin_closed=begin_closed, on_change=tell
        ) as source:
            buffers = model.input_buffers()
            capture = CaptureThread(source, buffers, camera=camera.name, changed=changed)
            if picture_px:  # before the first frame
                capture.want_picture(picture_px)
            with capture:
                yield capture
    finally:
        tell("offline")
