"""A client of its own that prints what arrives from each camera; for demonstrations."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.errors import SinkError
from edge.tasks import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

CONNECT_TIMEOUT_S = 10.0


class Subscriber:
    """Counts the cameras' messages, and shows one whenever the labels that a camera saw change.

    Args:
        host: Of the broker.
        port: Of the broker.
        topics: To subscribe to, one a camera.
        show: Called with one line of text.

    Raises:
        SinkError: The broker gave no answer.
    """

    def __init__(
        self, host: str, port: int, *, topics: Sequence[str], show: Callable[[str], None]
    ) -> None:
        self.count = 0
        self._show = show
        self._labels: dict[str, list[str]] = {}
        self._arrived = threading.Condition()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(topic, 1) for topic in topics]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect(host, port)
        self._client.loop_start()
        if not self._subscribed.wait(CONNECT_TIMEOUT_S):
            raise SinkError(f"the broker at {host}:{port} did not answer within 10 s; try again")

    def wait(self, count: int, *, timeout_s: float) -> bool:
        """Wait until so many messages have arrived; return whether they have."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.count >= count, timeout_s)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        payload = json.loads(message.payload)
        seen = describe(message.topic, payload)
        labels = sorted(label for label, _ in seen)
        if labels != self._labels.get(message.topic):
            self._labels[message.topic] = labels
            self._show(f"{message.topic}  {summarize(payload['sequence'], seen)}")
        with self._arrived:
            self.count += 1
            self._arrived.notify_all()


def summarize(sequence: int, seen: Sequence[tuple[str, str]]) -> str:
    """Return what was seen on a frame as one line."""
    return f"frame {sequence}: {', '.join(text for _, text in seen) or 'nothing'}"
