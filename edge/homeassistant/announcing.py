"""Announces a device to Home Assistant: at the start, whenever it is there again, after changes.

The broker remembers what was announced, and so it knows what to take back, even for a device that
was installed anew. Home Assistant takes back only what it has seen since its own start; so what
went while it was away is announced once more when it is there, and taken back after that.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING, cast

from edge.homeassistant.components import components
from edge.homeassistant.discovery import (
    announced,
    announcement,
    discovery_topic,
    removed,
    revived,
    withdrawal,
)
from edge.homeassistant.inventory import inventory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from typing_extensions import Self

    from edge.config.homeassistant import HomeAssistant
    from edge.config.sections import Config
    from edge.homeassistant.components import Component
    from edge.homeassistant.inventory import Inventory
    from edge.messages.envelope import Message
    from edge.model.description import Description

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


def announcing(config: Config, description: Description, channel: Channel) -> Announcing:
    """Return what announces the device of a configuration that has `[homeassistant]`."""
    section = cast("HomeAssistant", config.homeassistant)
    return Announcing(section, inventory(config, description), channel)


class Announcing:
    """Keeps Home Assistant told of a device, for the length of its `with` block.

    Args:
        section: Of the configuration.
        told: What the device publishes.
        channel: To the broker.
        gap_s: Between two announcements that differ.
        jitter_s: Longest wait before a birth is answered.
    """

    def __init__(
        self,
        section: HomeAssistant,
        told: Inventory,
        channel: Channel,
        *,
        gap_s: float = GAP_S,
        jitter_s: float = JITTER_S,
    ) -> None:
        self._section, self._told, self._channel = section, told, channel
        self._gap_s, self._jitter_s = gap_s, jitter_s
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_open = True
        # Key to platform of what was announced before, and is no more.
        self._gone: dict[str, str] = {}
        self._has_heard = False
        # Before anything is sent: what the broker remembers comes first.
        channel.subscribe(discovery_topic(section.prefix, told.device), self._hear)
        channel.subscribe(f"{section.prefix}/status", self._hear_birth)

    def __enter__(self) -> Self:
        self._announce()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_open = False
            if self._timer:
                self._timer.cancel()

    def change(self, section: HomeAssistant, told: Inventory) -> None:
        """Announce what is published from now on; what is not any more is taken back."""
        with self._lock:
            before = _platforms(self._own())
            self._section, self._told = section, told
            self._note_gone(before)
        self._announce()

    def _own(self) -> dict[str, Component]:
        return components(self._told) if self._section.enabled else {}

    def _note_gone(self, before: dict[str, str]) -> bool:
        """Note what is to be taken back of what was announced; return whether something is."""
        own = self._own()
        self._gone = {key: each for key, each in (self._gone | before).items() if key not in own}
        return bool(self._gone)

    def _hear(self, _topic: str, payload: bytes) -> None:
        """Take in what the broker remembers of the time before this start, and that once."""
        with self._lock:
            is_first, self._has_heard = not self._has_heard, True
            if is_first and self._note_gone(announced(payload)):
                log.info("homeassistant: takes back %s", ", ".join(sorted(self._gone)))
                self._after(self._gap_s, self._announce)

    def _hear_birth(self, _topic: str, payload: bytes) -> None:
        if payload == b"online":
            with self._lock:
                step = self._revive if self._gone else self._announce
                self._after(random.uniform(0, self._jitter_s), step)  # noqa: S311 - no secret

    def _announce(self) -> None:
        with self._lock:
            self._send(removed(self._gone))

    def _revive(self) -> None:
        with self._lock:
            self._send(revived(self._gone, self._told.device))
            self._after(self._gap_s, self._remove)

    def _remove(self) -> None:
        """Take back for the last time, and be done with it."""
        with self._lock:
            if self._section.enabled:
                self._send(removed(self._gone))
                self._after(self._gap_s, self._announce)
            elif self._is_open:
                self._channel.send(withdrawal(self._section.prefix, self._told.device))
            self._gone = {}

    def _send(self, more: dict[str, Component]) -> None:
        """Announce the device's own components and these; nothing where there are none."""
        if self._is_open and (all_of_them := self._own() | more):
            self._channel.send(announcement(self._section.prefix, self._told, all_of_them))

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
