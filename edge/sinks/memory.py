"""The newest observations, kept in memory: for tests and for showing what a pipeline saw."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.results.observation import Observation


class MemorySink:
    """Keeps copies, for an observation is borrowed; the oldest makes room for the newest.

    Args:
        capacity: Most observations kept.
    """

    def __init__(self, capacity: int = 100) -> None:
        self._kept: deque[Observation] = deque(maxlen=capacity)

    @property
    def observations(self) -> list[Observation]:
        """What is kept, oldest first."""
        return list(self._kept)

    def publish(self, observation: Observation) -> None:
        """Keep a copy."""
        self._kept.append(
            replace(
                observation,
                result=observation.result.copy(),
                stage_ms=dict(observation.stage_ms),
            )
        )

    def close(self, timeout_s: float) -> int:  # noqa: ARG002 - nothing is on its way
        """Return 0; what is kept stays."""
        return 0
