"""The message on whether a camera sees as it should; docs/mqtt.md describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

import msgspec
from msgspec import Meta

from edge.messages.envelope import (
    SCHEMA_VERSION,
    DeviceOrCamera,
    Message,
    Moment,
    Version,
    utc_text,
)
from edge.results.observation import HealthState  # noqa: TC001 - the schema asks for it

if TYPE_CHECKING:
    from edge.results.observation import Health, Observation


class HealthPayload(TypedDict):
    """Whether a camera sees as it should."""

    schema_version: Version
    device: DeviceOrCamera
    camera: DeviceOrCamera
    state: Annotated[HealthState, Meta(description="ok, or the trouble.")]
    reason: Annotated[str, Meta(description="In words; empty where there is nothing to say.")]
    since: Annotated[Moment, Meta(description="When it began.")]


class HealthTeller:
    """Tells the health of each camera when it changes, kept by the broker for who asks later.

    Args:
        device: A level of the topic.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._told: dict[str, Health] = {}

    def __call__(self, observation: Observation) -> tuple[Message, ...]:
        """Return the message, where there is news."""
        health = observation.health
        if health is None or self._told.get(observation.camera) == health:
            return ()
        self._told[observation.camera] = health
        payload: HealthPayload = {
            "schema_version": SCHEMA_VERSION,
            "device": self._device,
            "camera": observation.camera,
            "state": health.state,
            "reason": health.reason,
            "since": utc_text(health.since_utc_ns),
        }
        topic = f"edge/{self._device}/{observation.camera}/health"
        return (Message(topic, msgspec.json.encode(payload), retain=True, policy="state"),)
