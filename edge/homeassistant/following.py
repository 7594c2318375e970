"""Keeps Home Assistant in step with what holds: configuration, model, and a model that waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.homeassistant.announcing import Announcing
from edge.homeassistant.discovery import Told, told_of
from edge.messages.envelope import Message
from edge.sensors import Sensors

if TYPE_CHECKING:
    from typing_extensions import Self

    from edge.config.sections import Config
    from edge.control import Control
    from edge.model.description import Description
    from edge.parts import Parts
    from edge.sinks.fanout import Subscribable

# All that Home Assistant takes of an update; of another key it would drop the message.
UPDATE_KEYS = ("installed_version", "latest_version", "in_progress")


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
