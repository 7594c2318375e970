"""The health of a camera is told when it changes, and kept by the broker."""

from __future__ import annotations

import json
from dataclasses import replace

import factories
import pytest

from edge.messages.health import HealthTeller
from edge.results.observation import Health

pytestmark = pytest.mark.board


def test_each_change_is_told_once_a_camera_and_kept():
    tell = HealthTeller("porch")
    door = replace(factories.observation(camera="door"), health=Health("ok", "", 0))
    dark = replace(door, health=Health("dark", "it is dark", 1_500_000_000))

    (message,) = tell(door)
    assert tell(door) == ()
    (changed,) = tell(dark)

    assert (message.topic, message.retain, message.policy) == (
        "edge/porch/door/health",
        True,
        "state",
    )
    assert json.loads(changed.payload) == {
        "schema_version": 1,
        "device": "porch",
        "camera": "door",
        "state": "dark",
        "reason": "it is dark",
        "since": "1970-01-01T00:00:01.500000Z",
    }
    assert len(tell(replace(door, camera="gate"))) == 1


def test_nothing_is_told_without_a_self_check():
    assert HealthTeller("porch")(factories.observation()) == ()
