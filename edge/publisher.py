"""What is told of each observation, and the sinks that it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.messages.envelope import Message, camera_status_topic
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.capture.reopening import CameraState
    from edge.config.sections import Config
    from edge.messages.envelope import Encoder
    from edge.model.backend import Ran
    from edge.model.description import Description
    from edge.results.observation import Observation
    from edge.sinks.fanout import Fanout, Sink
    from edge.sinks.outbox import Tally
    from edge.snapshots import SnapshotTaker

    # Returns the messages of one kind that an observation has, in order; most often none.
    Teller = Callable[[Observation], Iterable[Message]]

# The name of the sink whose counts are told.
BROKER = "mqtt"
# Of a limited rate: at most so many messages are due at once, and float64 may be short of one.
MOST_DUE, ROUNDING = 2.0, 1e-6


class ResultTeller:
    """Tells what was seen on each frame, or on so many a second of each camera.

    The time is the source's own, so that the same frames of a file are told on every run. What a
    frame that comes a little early is short of, the next one has over, and so the rate is kept
    whatever the jitter. A frame on which something happened is told in any case.

    Args:
        encoder: Of the model's task.
        qos: 0 at most once, 1 at least once.
        most_hz: Of each camera; `None` tells all.
    """

    def __init__(
        self, encoder: Encoder, *, qos: Literal[0, 1] = 1, most_hz: float | None = None
    ) -> None:
        self._encoder = encoder
        self._qos = qos
        self._most_hz = most_hz
        # By camera, the time of its last frame and the part of a message that is due since.
        self._due: dict[str, tuple[int, float]] = {}

    def __call__(self, observation: Observation) -> tuple[Message, ...]:
        """Return the frame's message, if one is due."""
        if self._most_hz and not (self._is_due(observation) or observation.events):
            return ()
        topic = self._encoder.topic(observation.camera)
        return (Message(topic, self._encoder.encode(observation), qos=self._qos),)

    def _is_due(self, observation: Observation) -> bool:
        assert self._most_hz is not None  # noqa: S101 - asked only then
        now_ns = observation.source_ns
        before_ns, due = self._due.get(observation.camera, (now_ns, 1.0))
        # A clock that went back is that of a file that began anew.
        grown = (now_ns - before_ns) * self._most_hz / 1e9 if now_ns >= before_ns else 1.0
        due = min(MOST_DUE, due + grown)
        is_due = due >= 1 - ROUNDING
        self._due[observation.camera] = now_ns, due - is_due
        return is_due


@dataclass(slots=True)
class FrameTally:
    """What became of the frames of a camera.

    Attributes:
        captured: Frames that it gave.
        invoked: Of those, frames that were looked at.
        published: Of those, frames whose result was sent.
        dropped: Frames replaced unseen.
    """

    captured: int = 0
    invoked: int = 0
    published: int = 0
    dropped: int = 0


def open_encoder(config: Config, description: Description) -> Encoder:
    """Return what makes the messages of this kind of model."""
    encoder = task_for(description).encoder
    return encoder(config.device.name, description, class_map=config.output.class_map)


def open_tellers(
    config: Config, encoder: Encoder, before: Sequence[Teller] = ()
) -> tuple[Teller, ...]:
    """Return what is told of each observation, as a configuration and a model have it.

    Args:
        config: What holds.
        encoder: Of the model.
        before: What was told until now; those that know what they told go on.
    """
    known = {type(each): each for each in before}
    qos = config.mqtt.qos if config.mqtt else 1
    tellers: list[Teller] = [ResultTeller(encoder, qos=qos, most_hz=config.output.results_hz)]
    if config.tells_events:
        from edge.messages.events import CountsTeller, EventsTeller  # noqa: PLC0415 - off by default

        counts = known.get(CountsTeller) or CountsTeller(encoder.device)
        tellers += [EventsTeller(encoder.device), counts]
    if config.selfcheck:
        from edge.messages.health import HealthTeller  # noqa: PLC0415 - likewise

        tellers.append(known.get(HealthTeller) or HealthTeller(encoder.device))
    return tuple(tellers)


class Publisher:
    """A consumer of observations that tells a sink of each.

    Attributes:
        tellers: What is told of each observation; assign others between two frames.
        encoder: Of the model that runs; likewise.
        frames: What became of them, by camera.
        snapshots: Takes images of what is seen; `None` until somebody wants one.
    """

    def __init__(self, encoder: Encoder, sink: Fanout | Sink, tellers: Sequence[Teller]) -> None:
        self.tellers = tuple(tellers)
        self.encoder = encoder
        self.frames: dict[str, FrameTally] = {}
        self.snapshots: SnapshotTaker | None = None
        self._sink = sink

    def follow(self, config: Config, description: Description) -> None:
        """Tell of observations as a configuration and a model have it."""
        self.encoder = open_encoder(config, description)
        self.tellers = open_tellers(config, self.encoder, self.tellers)
        if self.snapshots:
            self.snapshots.follow(config.snapshots, description.labels)

    def __call__(self, observation: Observation) -> None:
        """Send all that is to be told of an observation."""
        tally = self.frames.get(observation.camera)
        if tally is None:
            tally = self.frames[observation.camera] = FrameTally()
        tally.captured, tally.dropped = observation.sequence + 1, observation.dropped_frames
        tally.invoked += observation.stage_ms["invoke"] > 0
        for tell in self.tellers:
            for message in tell(observation):
                self._sink.send(message)
                tally.published += message.policy == "stream"
        if self.snapshots:
            self.snapshots(observation)

    def send(self, message: Message) -> None:
        """Send what no observation tells; safe from any thread."""
        self._sink.send(message)

    def outbox(self) -> Tally | None:
        """Return the counts of the broker's outbox; `None` without one."""
        tallies: dict[str, Tally] = getattr(self._sink, "tallies", dict)()
        return tallies.get(BROKER)

    @property
    def is_connected(self) -> bool | None:
        """Whether the broker has us; `None` without one."""
        return getattr(self._sink, "is_connected", None)

    def introduce(self, ran: Ran) -> None:
        """Say which model runs and what invokes it."""
        self.send(self.encoder.introduction(ran))

    def tell_camera(self, camera: str, state: CameraState) -> None:
        """Say whether a camera gives frames; kept by the broker for who asks later."""
        topic = camera_status_topic(self.encoder.device, camera)
        self.send(Message(topic, state.encode(), retain=True, policy="state"))
