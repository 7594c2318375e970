"""The stage `zones`: events and counts of the zones and lines of each camera."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.stages.events import CameraEvents
from edge.stages.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.config.sections import Config
    from edge.results.observation import Observation


class Zones:
    """The stage `zones`: tells what tracked objects do, and counts them.

    Args:
        config: Its zones, lines and events.
        labels: Of the model.
        memory: Of the stage before this one; objects go on.
    """

    name = "zones"

    def __init__(self, config: Config, labels: Sequence[str], memory: dict[str, Any]) -> None:
        self._config = config
        self._labels = labels
        self._cameras: dict[str, CameraEvents] = memory.setdefault("cameras", {})
        if "next_id" not in memory:
            run, numbers = secrets.token_hex(8), itertools.count(1)
            memory["next_id"] = lambda: f"{run}-{next(numbers)}"
        self._next_id: Callable[[], str] = memory["next_id"]
        self._plans: dict[str, Plan] = {}

    def process(self, observation: Observation) -> Observation:
        """Return the observation with its events and counts."""
        name, size_wh = observation.camera, observation.size_wh
        plan = self._plans.get(name)
        if plan is None or plan.size_wh != size_wh:
            plan = self._plans[name] = Plan(self._config, name, size_wh, labels=self._labels)
        camera = self._cameras.get(name)
        if camera is None:
            camera = self._cameras[name] = CameraEvents(name, plan, self._next_id)
        events = camera.follow(observation, plan)
        return replace(observation, events=(*observation.events, *events), counts=camera.counts)
