"""What is told of each observation, and the sinks that it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from edge.messages.envelope import Message, camera_status_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.capture.reopening import CameraState
    from edge.config.sections import Config
    from edge.messages.envelope import Encoder
    from edge.model.backend import Ran
    from edge.results.observation import Observation
    from edge.sinks.fanout import Fanout, Sink


class Teller(Protocol):
    """Makes the messages of one kind."""

    def __call__(self, observation: Observation) -> Iterable[Message]:
        """Return what is to be told of an observation, in order; most often nothing."""


@dataclass(frozen=True, slots=True)
class ResultTeller:
    """Tells what was seen on each frame.

    Attributes:
        encoder: Of the model's task.
        qos: 0 at most once, 1 at least once.
    """

    encoder: Encoder
    qos: Literal[0, 1] = 1

    def __call__(self, observation: Observation) -> tuple[Message]:
        """Return the frame's message."""
        topic = self.encoder.topic(observation.camera)
        return (Message(topic, self.encoder.encode(observation), qos=self.qos),)


def open_tellers(config: Config, encoder: Encoder) -> list[Teller]:
    """Return what is told of each observation, as a configuration and a model have it."""
    tellers: list[Teller] = [ResultTeller(encoder, qos=config.mqtt.qos if config.mqtt else 1)]
    if config.tells_events:
        from edge.messages.events import CountsTeller, EventsTeller  # noqa: PLC0415 - off by default

        tellers += [EventsTeller(encoder.device), CountsTeller(encoder.device)]
    if config.selfcheck:
        from edge.messages.health import HealthTeller  # noqa: PLC0415 - likewise

        tellers.append(HealthTeller(encoder.device))
    return tellers


class Publisher:
    """A consumer of observations that tells a sink of each.

    Attributes:
        tellers: What is told of each observation; assign others between two frames.
        encoder: Of the model that runs; likewise.
    """

    def __init__(self, encoder: Encoder, sink: Fanout | Sink, tellers: Sequence[Teller]) -> None:
        self.tellers = tuple(tellers)
        self.encoder = encoder
        self._sink = sink

    def __call__(self, observation: Observation) -> None:
        """Send all that is to be told of an observation."""
        for tell in self.tellers:
            for message in tell(observation):
                self._sink.send(message)

    def send(self, message: Message) -> None:
        """Send what no observation tells; safe from any thread."""
        self._sink.send(message)

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
