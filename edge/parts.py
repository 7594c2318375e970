"""What runs: the opened parts of a pipeline, and how a configuration has them behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError
from edge.pipeline import Behaviour, Pipeline, Worker
from edge.stages.registry import open_stages
from edge.tasks import THRESHOLDS, refuse_regions, refuse_thresholds, refuse_tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.cameras import Cameras
    from edge.capture.latest import CaptureThread
    from edge.config.sections import Config
    from edge.cores import Cores
    from edge.frame import Summary
    from edge.model.description import Description, Thresholds
    from edge.model.loaded import LoadedModel
    from edge.preprocess import InputBuffer
    from edge.publisher import Publisher
    from edge.results.observation import Observation
    from edge.sinks.registry import OpenSinks
    from edge.snapshots import SnapshotTaker
    from edge.stages.registry import Stage


@dataclass(slots=True)
class Parts:
    """What a pipeline is made of, opened; the thread `edge-control` changes it.

    Attributes:
        workers: At least one.
        cameras: Open.
        publisher: Tells the sinks; `None` where nothing is published.
        sinks: Open; likewise.
        config: What holds now.
        memory: What the stages keep through a reload, by the name of the stage.
        threads: Of each interpreter.
        running: The pipeline that was made of them.
    """

    workers: tuple[Worker, ...]
    cameras: Cameras
    publisher: Publisher | None
    sinks: OpenSinks | None
    cores: Cores
    config: Config
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    threads: int = 1
    running: Pipeline | None = None

    @property
    def captures(self) -> tuple[CaptureThread[InputBuffer], ...]:
        """One a camera, started."""
        return self.cameras.captures

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
        told: list[Callable[[Observation], None]] = []
        if self.publisher:
            told.append(self.publisher)
            if self.config.snapshots:
                taker = self._taker(self.publisher)
                taker.follow(self.config.snapshots, self.model.description.labels)
        behaviour = self.behaviour(self.config)
        behaviour = Behaviour(self.model, behaviour.stages + stages)
        self.running = Pipeline(
            self.cameras.frames, behaviour, [*told, *consumers], workers=self.workers
        )
        return self.running

    def summary(self) -> Summary | None:
        """Return the figures of the running pipeline so far."""
        return self.running.times.summary() if self.running else None

    def behave(self, config: Config) -> None:
        """Have what runs go by a configuration of the same model, from the next frame on.

        Raises:
            ConfigError: It does not fit the model; nothing has changed.
        """
        behaviour = self.behaviour(config)
        if self.publisher:
            if config.snapshots:
                self._taker(self.publisher)
            self.publisher.follow(config, self.model.description)
        if self.running:
            self.running.behaviour = behaviour
        self.config = config

    def snapshot(self, camera: str | None) -> str:
        """Have the next frame of a camera sent, of each for `None`; return where it goes.

        Raises:
            ConfigError: There is no such camera, or nobody to send it to.
        """
        if self.publisher is None:
            raise ConfigError("nothing is published here, and so no snapshot; add [mqtt] url")
        return self._taker(self.publisher).request(camera)

    def _taker(self, publisher: Publisher) -> SnapshotTaker:
        """Return what takes snapshots, from the first time that somebody wants one."""
        if publisher.snapshots is None:
            from edge.snapshots import SnapshotTaker  # noqa: PLC0415 - off by default

            device = self.config.device.name
            publisher.snapshots = SnapshotTaker(
                lambda: self.cameras.captures, device, send=publisher.send
            )
        return publisher.snapshots

    def close_snapshots(self) -> None:
        """Send the images that wait."""
        if self.publisher and self.publisher.snapshots:
            self.publisher.snapshots.close()

    @property
    def score_threshold(self) -> float:
        """What holds now."""
        return thresholds(self.config, self.model.description).score

    def behaviour(
        self,
        config: Config,
        model: LoadedModel | None = None,
        memory: dict[str, dict[str, Any]] | None = None,
    ) -> Behaviour:
        """Return what frames go by from now on, as a configuration says; tracks go on.

        Args:
            config: Says so.
            model: That is to run; `None` for the one that runs.
            memory: That of the stages with it; likewise.
        """
        model = model or self.model
        description = model.description
        stages = open_stages(
            config,
            description,
            thresholds=thresholds(config, description),
            memory=self.memory if memory is None else memory,
            ask=self.cameras.ask_picture,
        )
        self.cameras.look(on=bool(config.selfcheck))
        return Behaviour(model.decoding_with(decoder_thresholds(config, description)), stages)


def thresholds(config: Config, description: Description) -> Thresholds:
    """Return the configuration's thresholds, the model's own where it has none.

    Raises:
        ConfigError: One is set, or tracking is, that has no meaning for this model.
    """
    model = config.model
    refuse_thresholds(description, [key for key in THRESHOLDS if getattr(model, key) is not None])
    refuse_tracking(description, config)
    if config.regions:
        refuse_regions(description)
    return description.thresholds(**{name: getattr(model, key) for key, name in THRESHOLDS.items()})


def decoder_thresholds(config: Config, description: Description) -> Thresholds:
    """Return `thresholds`, of which tracking lowers the score's: it passes on what reaches it."""
    wanted = thresholds(config, description)
    low = config.follows.low_score_threshold if config.follows else 1.0
    return wanted.changed(score=min(wanted.score, low))
