"""A client of its own that counts what arrives, and shows what changes; for demonstrations."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from edge.errors import SinkError
from edge.sinks.mqtt_reader import MqttReader
from edge.watching import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.config.mqtt import Mqtt

CONNECT_TIMEOUT_S = 10.0


class Subscriber:
    """Counts a camera's messages, and shows one whenever the labels that it saw change.

    Args:
        settings: Of the broker.
        topic: Of the camera.
        show: Called with one line of text.

    Raises:
        SinkError: The broker gave no answer.
    """

    def __init__(self, settings: Mqtt, topic: str, *, show: Callable[[str], None]) -> None:
        self.count = 0
        self._show = show
        self._arrived = threading.Condition()
        self._reader = MqttReader(settings, [topic])
        self._thread = threading.Thread(target=self._run, name="edge-subscriber", daemon=True)
        self._thread.start()
        if not self._reader.subscribed.wait(CONNECT_TIMEOUT_S):
            raise SinkError(
                f"the broker at {settings.address} did not answer within "
                f"{CONNECT_TIMEOUT_S:g} s; try again"
            )

    def wait(self, count: int, *, timeout_s: float) -> bool:
        """Wait until so many messages have arrived; return whether they have."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.count >= count, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.stop()
        self._thread.join(CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        lines = Lines(hold_s=0)
        # Whoever waits for messages is told that there are none.
        with contextlib.suppress(SinkError):
            for topic, payload in self._reader.messages():
                if line := lines.line(topic, payload):
                    self._show(line)
                with self._arrived:
                    self.count += 1
                    self._arrived.notify_all()
