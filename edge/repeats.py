"""What happens again and again, told once in a while with the number of times."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

REPEAT_S = 600.0
# More kinds than a program has; a sentence that holds something new each time is forgotten.
MOST_KINDS = 1000


class Repeats:
    """Counts what happens, so that each kind is told only so often.

    Args:
        repeat_s: The same kind is told at most `burst` times in so long.
        burst: See there.
        clock: Seconds.
    """

    def __init__(
        self,
        repeat_s: float = REPEAT_S,
        *,
        burst: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repeat_s = repeat_s
        self._burst = burst
        self._clock = clock
        self._told_at: dict[str, deque[float]] = {}
        self._untold: dict[str, int] = {}

    def count(self, kind: str) -> int:
        """Return how often this happened since it was last told; 0 if it is not to be told now."""
        now = self._clock()
        count = self._untold.pop(kind, 0) + 1
        told = self._told_at.setdefault(kind, deque([-math.inf] * self._burst, self._burst))
        if now - told[0] < self._repeat_s:
            self._untold[kind] = count
            return 0
        told.append(now)
        if len(self._told_at) > MOST_KINDS:
            oldest = next(iter(self._told_at))
            del self._told_at[oldest]
            self._untold.pop(oldest, None)
        return count

    def warn(self, logger: logging.Logger, kind: str, text: str) -> None:
        """Log a sentence about it, with the number of times, unless it is not to be told now."""
        if times := self.count(kind):
            logger.warning("%s%s", text, f" ({times} times)" if times > 1 else "")
