"""Where the time of a frame went, stage by stage."""

from __future__ import annotations

import time

NS_PER_MS = 1e6


class StageClock:
    """Ascribes the time since its birth, or since the lap before, to a stage.

    Whoever does the work calls `lap` when a stage is over, and never reads a clock itself. A stage
    that is named twice collects both laps.
    """

    def __init__(self) -> None:
        self._stage_ns: dict[str, int] = {}
        self._since_ns = time.monotonic_ns()

    def lap(self, stage: str) -> None:
        """Ascribe the time since the last lap to `stage`."""
        now_ns = time.monotonic_ns()
        self._stage_ns[stage] = self._stage_ns.get(stage, 0) + now_ns - self._since_ns
        self._since_ns = now_ns

    def add(self, stage: str, ns: int) -> None:
        """Ascribe nanoseconds that were measured elsewhere, such as on another thread."""
        self._stage_ns[stage] = self._stage_ns.get(stage, 0) + ns

    def stage_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage, in the order in which they were first named."""
        return {stage: ns / NS_PER_MS for stage, ns in self._stage_ns.items()}
