"""From observations to messages: each is encoded once, whatever the number of sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from edge.messages.envelope import camera_status_topic
from edge.messages.message import Message

if TYPE_CHECKING:
    from edge.results.observation import Observation

ONLINE, OFFLINE = b"online", b"offline"


class Encoder(Protocol):
    """Makes the messages of one kind of result."""

    def topic(self, camera: str) -> str:
        """Return where the messages of a camera go."""

    def encode(self, observation: Observation) -> bytes:
        """Return the message of an observation: compact UTF-8 JSON."""


class Sink(Protocol):
    """Where messages go."""

    def send(self, message: Message) -> None:
        """Take a message."""


class Publisher:
    """A consumer of observations that tells a sink of each.

    Args:
        device: The device's name.
        encoder: Of the model's kind of result.
        sink: Takes the messages.
        qos: Of results.
    """

    def __init__(
        self, device: str, encoder: Encoder, sink: Sink, *, qos: Literal[0, 1] = 1
    ) -> None:
        self._device = device
        self._encoder = encoder
        self._sink = sink
        self._qos = qos

    def __call__(self, observation: Observation) -> None:
        """Encode an observation and send it."""
        topic = self._encoder.topic(observation.camera)
        self._sink.send(Message(topic, self._encoder.encode(observation), qos=self._qos))

    def tell_camera(self, camera: str, *, is_up: bool) -> None:
        """Say whether a camera gives frames; kept by the broker for who asks later."""
        topic = camera_status_topic(self._device, camera)
        payload = ONLINE if is_up else OFFLINE
        self._sink.send(Message(topic, payload, retain=True, policy="state"))
