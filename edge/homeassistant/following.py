"""Announces a device to Home Assistant: at the start, whenever it is there again, after changes.

The broker remembers what was announced, and so it knows what to take back, even for a device that
was installed anew. Home Assistant takes back only what it has seen since its own start; so what
went while it was away is announced once more when it is there, and taken back after that.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from edge.homeassistant.discovery import Told, announced, removed, told_of
from edge.messages.envelope import Message
from edge.sensors import Sensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.config.sections import Config
    from edge.control import Control
    from edge.homeassistant.components import Component
    from edge.model.description import Description
    from edge.parts import Parts
    from edge.sinks.fanout import Subscribable

log = logging.getLogger("edge.homeassistant")

# Of several devices, not all answer a birth at once.
JITTER_S = 3.0
# Home Assistant 2025.4 drops the rest of an announcement of which one component is still at work.
GAP_S = 5.0
# So long the broker's memory is waited for; who may not read it is announced all the same. It is
# asked every second, as a question that overtakes its subscription is not heard.
PATIENCE_S, ASK_S = 30.0, 1.0
# All that Home Assistant takes of an update; of another key it would drop the message.
UPDATE_KEYS = ("installed_version", "latest_version", "in_progress")


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
        self, told: Told, channel: Subscribable, *, gap_s: float = GAP_S, jitter_s: float = JITTER_S
    ) -> None:
        self._told, self._channel = told, channel
        self._gap_s, self._jitter_s = gap_s, jitter_s
        # Held by every step, and by whatever changes what is to be done.
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._is_answering = False
        self._is_open = True
        # Key to platform of what the broker remembers, and of what was announced and is no more.
        self._remembered: dict[str, str] = {}
        self._gone: dict[str, str] = {}
        # It comes back behind all that the broker remembers.
        self._marker = Message(f"edge/{told.device}/homeassistant", b"here", policy="state")
        self._is_ready = False

    def __enter__(self) -> Self:
        self._channel.subscribe(self._told.topic, self._hear)
        self._listen()
        self._channel.subscribe(self._marker.topic, self._hear_marker)
        self._patient_until = time.monotonic() + PATIENCE_S
        with self._lock:
            self._ask()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_open = False
            if self._timer:
                self._timer.cancel()

    def change(self, told: Told) -> None:
        """Announce what is published from now on; what is not any more is taken back."""
        with self._lock:
            before, self._told = self._told, told
            if told.prefix != before.prefix:
                self._channel.send(before.message({}))
                self._listen()
            if self._is_ready and told != before:
                self._turn_from({key: each["p"] for key, each in before.cmps.items()})

    def _listen(self) -> None:
        self._channel.subscribe(f"{self._told.prefix}/status", self._hear_birth)

    def _ask(self) -> None:
        if not self._is_ready:
            self._channel.send(self._marker)
            is_over = time.monotonic() >= self._patient_until
            self._after(ASK_S, self._begin if is_over else self._ask)

    def _hear(self, _topic: str, payload: bytes) -> None:
        """Take in what the broker remembers of the time before this start."""
        with self._lock:
            if not self._is_ready:
                self._remembered = announced(payload)

    def _hear_marker(self, _topic: str, _payload: bytes) -> None:
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        was_ready, self._is_ready = self._is_ready, True
        if not was_ready:
            self._turn_from(self._remembered)

    def _hear_birth(self, _topic: str, payload: bytes) -> None:
        with self._lock:
            # One that comes while another waits for its answer must not put that off.
            if payload == b"online" and self._is_ready and not self._is_answering:
                self._after(random.uniform(0, self._jitter_s), self._answer)  # noqa: S311 - no secret
                self._is_answering = True

    def _turn_from(self, before: dict[str, str]) -> None:
        """Take back what was announced and is no more, and then announce what is new."""
        own = self._told.cmps
        self._gone = {key: each for key, each in (self._gone | before).items() if key not in own}
        if self._gone:
            log.info("homeassistant: takes back %s", ", ".join(sorted(self._gone)))
            self._after(self._gap_s, self._announce)
            own = {key: own[key] for key in own if key in before}
        self._send(removed(self._gone) | own)

    def _announce(self) -> None:
        self._send(removed(self._gone) | self._told.cmps)

    def _answer(self) -> None:
        """Announce all, and once more what went, for it can be taken back only after that."""
        self._send(self._told.revived(self._gone) | self._told.cmps)
        if self._gone:
            self._after(self._gap_s, self._remove)

    def _remove(self) -> None:
        """Take back for the last time, and be done with it."""
        if self._told.cmps:
            self._announce()
            self._after(self._gap_s, self._announce)
        else:
            self._channel.send(self._told.message({}))
        self._gone = {}

    def _send(self, cmps: dict[str, Component]) -> None:
        """Announce these components; no device without any."""
        if self._is_open and cmps:
            self._channel.send(self._told.message(cmps))

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        """Have a step done later, in place of any other that was to be done."""

        def run() -> None:
            with self._lock:
                if self._timer is timer and self._is_open:
                    self._is_answering = False
                    step()

        if self._timer:
            self._timer.cancel()
        self._is_answering = False
        self._timer = timer = threading.Timer(seconds, run)
        timer.name, timer.daemon = "edge-homeassistant", True
        if self._is_open:
            timer.start()


class Following:
    """Announces the device of what runs, for the length of its `with` block.

    Args:
        parts: What runs.
        control: What changes it.
        channel: To the broker.
    """

    def __init__(self, parts: Parts, control: Control, channel: Subscribable) -> None:
        self._parts, self._control, self._channel = parts, control, channel
        self._has_sensor = Sensors().read(0.0).temperature_c is not None
        self._holds = self._what_holds()
        self._announcing = Announcing(self._told(), channel)

    def __enter__(self) -> Self:
        self._announcing.__enter__()
        self._tell_update()
        self._control.told.append(self._follow)
        return self

    def __exit__(self, *_: object) -> None:
        self._control.told.remove(self._follow)
        self._announcing.__exit__()

    def _what_holds(self) -> tuple[Config, Description]:
        return self._parts.config, self._parts.model.description

    def _told(self) -> Told:
        return told_of(
            *self._holds,
            has_sensor=self._has_sensor,
            is_installed=self._control.release is not None,
        )

    def _follow(self) -> None:
        self._tell_update()
        before, self._holds = self._holds, self._what_holds()
        # Each command is told of; a large announcement takes a fast machine 0.1 s.
        if any(one is not other for one, other in zip(before, self._holds, strict=True)):
            self._announcing.change(self._told())

    def _tell_update(self) -> None:
        state = self._control.model_state()
        fields = {**{key: state[key] for key in UPDATE_KEYS}, "update_percentage": None}
        topic = f"edge/{self._parts.config.device.name}/update"
        self._channel.send(Message(topic, msgspec.json.encode(fields), retain=True, policy="state"))
