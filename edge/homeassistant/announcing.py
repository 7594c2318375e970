"""Announces a device to Home Assistant: at the start, whenever it is there again, after changes.

The broker remembers what was announced, and so it knows what to take back, even for a device that
was installed anew. Home Assistant takes back only what it has seen since its own start; so what
went while it was away is announced once more when it is there, and taken back after that.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from edge.homeassistant.components import components
from edge.homeassistant.discovery import (
    announced,
    announcement,
    discovery_topic,
    removed,
    revived,
    withdrawal,
)
from edge.messages.envelope import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from typing_extensions import Self

    from edge.homeassistant.components import Component
    from edge.homeassistant.inventory import Inventory

    class Channel(Protocol):
        """Sends, and hears."""

        def send(self, message: Message) -> None:
            """Take a message; never waits."""

        def subscribe(self, topic: str, handler: Callable[[str, bytes], object]) -> None:
            """Have what arrives on a topic handed over."""


log = logging.getLogger("edge.homeassistant")

# Of several devices, not all answer a birth at once.
JITTER_S = 3.0
# Home Assistant 2025.4 drops the rest of an announcement of which one component is still at work.
GAP_S = 5.0
# So long the broker's memory is waited for; who may not read it is announced all the same.
PATIENCE_S = 30.0


class Announcing:
    """Keeps Home Assistant told of a device, for the length of its `with` block.

    What is gone is taken back before anything else is announced: an entity of the same name would
    be called `..._2` for ever.

    Args:
        told: What the device publishes.
        channel: To the broker.
        gap_s: Between two announcements that differ.
        jitter_s: Longest wait before a birth is answered.
    """

    def __init__(
        self,
        told: Inventory,
        channel: Channel,
        *,
        gap_s: float = GAP_S,
        jitter_s: float = JITTER_S,
    ) -> None:
        self._told, self._channel = told, channel
        self._gap_s, self._jitter_s = gap_s, jitter_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_open = True
        # Key to platform of what the broker remembers, and of what was announced and is no more.
        self._remembered: dict[str, str] = {}
        self._gone: dict[str, str] = {}
        # It comes back behind all that the broker remembers.
        self._marker = Message(f"edge/{told.device}/homeassistant", b"here", policy="state")
        self._is_ready = False

    def __enter__(self) -> Self:
        self._channel.subscribe(discovery_topic(self._told), self._hear)
        self._channel.subscribe(f"{self._told.prefix}/status", self._hear_birth)
        self._channel.subscribe(self._marker.topic, self._begin)
        self._channel.send(self._marker)
        with self._lock:
            self._after(PATIENCE_S, self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_open = False
            if self._timer:
                self._timer.cancel()

    def change(self, told: Inventory) -> None:
        """Announce what is published from now on; what is not any more is taken back."""
        with self._lock:
            before = _platforms(self._own())
            if told != self._told:
                self._told = told
                if self._is_ready:
                    self._turn_from(before)

    def _own(self) -> dict[str, Component]:
        return components(self._told) if self._told.enabled else {}

    def _hear(self, _topic: str, payload: bytes) -> None:
        """Take in what the broker remembers of the time before this start."""
        with self._lock:
            if not self._is_ready:
                self._remembered = announced(payload)

    def _begin(self, _topic: str = "", _payload: bytes = b"") -> None:
        with self._lock:
            if not self._is_ready:
                self._is_ready = True
                self._turn_from(self._remembered)

    def _hear_birth(self, _topic: str, payload: bytes) -> None:
        with self._lock:
            if payload == b"online" and self._is_ready:
                step = self._revive if self._gone else self._announce
                self._after(random.uniform(0, self._jitter_s), step)  # noqa: S311 - no secret

    def _turn_from(self, before: dict[str, str]) -> None:
        """Take back what was announced and is no more, and then announce what is new."""
        own = self._own()
        self._gone = {key: each for key, each in (self._gone | before).items() if key not in own}
        if not self._gone:
            self._send(own)
            return
        log.info("homeassistant: takes back %s", ", ".join(sorted(self._gone)))
        self._send(removed(self._gone) | {key: own[key] for key in own if key in before})
        self._after(self._gap_s, self._announce)

    def _announce(self) -> None:
        with self._lock:
            self._send(removed(self._gone) | self._own())

    def _revive(self) -> None:
        with self._lock:
            self._send(revived(self._gone, self._told.device) | self._own())
            self._after(self._gap_s, self._remove)

    def _remove(self) -> None:
        """Take back for the last time, and be done with it."""
        with self._lock:
            if self._told.enabled:
                self._send(removed(self._gone) | self._own())
                self._after(self._gap_s, self._announce)
            elif self._is_open:
                self._channel.send(withdrawal(self._told))
            self._gone = {}

    def _send(self, cmps: dict[str, Component]) -> None:
        """Announce these components; no device without any."""
        if self._is_open and cmps:
            self._channel.send(announcement(self._told, cmps))

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        """Have a step done later, in place of any other that was to be done."""
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, step)
        self._timer.name, self._timer.daemon = "edge-homeassistant", True
        if self._is_open:
            self._timer.start()


def _platforms(found: dict[str, Component]) -> dict[str, str]:
    return {key: each["p"] for key, each in found.items()}
