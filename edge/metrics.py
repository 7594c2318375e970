"""Times of the pipeline's stages: a bounded window of them, and their percentiles."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results.observation import Observation

# The window's last frames; 4,096 float32 of 6 columns are 96 KiB and 30 s at 136 frames/s.
WINDOW_FRAMES = 4096
AGE = "age"
PERCENTILES = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run so far.

    Attributes:
        frames: Frames decoded.
        elapsed_s: From the first frame taken to the last one decoded, seconds.
        percentiles_ms: Stage, and `age`, to (p50, p95, p99), milliseconds, over those of the last
            `WINDOW_FRAMES` frames that had it.
        invoke_ratio: Share of the elapsed time that an interpreter was at work, the mean of all.
        seen: What the results were, in a few words.
    """

    frames: int
    elapsed_s: float
    percentiles_ms: dict[str, tuple[float, float, float]]
    invoke_ratio: float
    seen: str = ""

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0


class StageTimes:
    """Collects the times of each frame, of whatever stages it names; one thread writes.

    A column is made when its stage is first named, and then kept.

    Args:
        interpreters: How many work at the same time.
    """

    def __init__(self, *, interpreters: int = 1) -> None:
        self._interpreters = interpreters
        self._columns_ms: dict[str, NDArray[np.float32]] = {}
        self._frames = 0
        self._invoke_ms = 0.0
        self._started_ns = 0
        self._ended_ns = 0

    def start(self) -> None:
        """Begin the elapsed time; called when the first frame is taken."""
        self._started_ns = self._ended_ns = time.monotonic_ns()

    def add(self, observation: Observation) -> None:
        """Count one frame; a stage that took nothing at all, of a repeated one, was not run."""
        times_ms = {**observation.stage_ms, AGE: observation.age_ms}
        row = self._frames % WINDOW_FRAMES
        for name in times_ms:
            if name not in self._columns_ms:
                self._columns_ms[name] = np.full(WINDOW_FRAMES, np.nan, np.float32)
        for name, column in self._columns_ms.items():
            column[row] = times_ms.get(name) or np.nan
        self._invoke_ms += times_ms["invoke"]
        self._frames += 1
        self._ended_ns = time.monotonic_ns()

    @property
    def frames(self) -> int:
        """How many were counted."""
        return self._frames

    def summary(self) -> Summary:
        """Return the figures so far, the stages in the order in which they were first named."""
        elapsed_s = (self._ended_ns - self._started_ns) / 1e9
        percentiles: dict[str, tuple[float, float, float]] = {}
        # Stable, so that the age stands last.
        for name, column in sorted(self._columns_ms.items(), key=lambda item: item[0] == AGE):
            known = column[~np.isnan(column)]
            if len(known):
                p50, p95, p99 = np.percentile(known, PERCENTILES)
                percentiles[name] = (float(p50), float(p95), float(p99))
        return Summary(
            frames=self._frames,
            elapsed_s=elapsed_s,
            percentiles_ms=percentiles,
            invoke_ratio=self._invoke_ms / 1e3 / elapsed_s / self._interpreters
            if elapsed_s
            else 0.0,
        )
