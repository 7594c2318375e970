"""Frames at a steady rate, from sources that could go faster."""

from __future__ import annotations

import threading
import time

NS_PER_S = 1_000_000_000


class Pacer:
    """Holds each frame back until it is due; can be interrupted from any thread.

    A frame that is asked for late is due at once, and the ones after it follow a period apart:
    nothing is made up for in a burst.

    Args:
        rate_hz: Frames per second; `None` never waits.
    """

    def __init__(self, rate_hz: float | None) -> None:
        self._period_ns = 0 if rate_hz is None else round(NS_PER_S / rate_hz)
        self._due_ns = time.monotonic_ns()
        self._interrupted = threading.Event()

    def wait(self) -> bool:
        """Wait until the next frame is due; False once interrupted."""
        if not self._period_ns:
            return not self._interrupted.is_set()
        now_ns = time.monotonic_ns()
        interrupted = self._interrupted.wait(max(0, self._due_ns - now_ns) / NS_PER_S)
        self._due_ns = max(self._due_ns, now_ns) + self._period_ns
        return not interrupted

    def interrupt(self) -> None:
        """End a wait under way, and every later one at once."""
        self._interrupted.set()
