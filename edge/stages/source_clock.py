"""The time of one camera, as its frames tell it."""

from __future__ import annotations

NS_PER_S = 1e9


class SourceClock:
    """Counts seconds on by a source's clock; one that was set back has not moved.

    Attributes:
        now_s: Since the first frame.
        elapsed_s: Since the frame before.
        period_s: The last time between two frames that was none of 0, before this one's.
    """

    def __init__(self) -> None:
        self.now_s = self.elapsed_s = self.period_s = 0.0
        self._clock_ns: int | None = None

    def step(self, clock_ns: int) -> None:
        """Go on to a frame of this time."""
        self.period_s = self.elapsed_s or self.period_s
        before_ns = clock_ns if self._clock_ns is None else self._clock_ns
        self.elapsed_s = max(0, clock_ns - before_ns) / NS_PER_S
        self._clock_ns = clock_ns
        self.now_s += self.elapsed_s
        self.period_s = self.period_s or self.elapsed_s

    def may_miss_s(self, limit_s: float) -> float:
        """Return how long something may be missing: over one frame of a slow camera in any case."""
        return max(limit_s, 2 * self.period_s)
