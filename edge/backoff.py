"""How long to wait before the next try."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class Backoff:
    """Exponential backoff with full jitter: units that lost one host do not return as one.

    Args:
        base_s: Longest wait before the second try; it doubles with every further one.
        cap_s: Longest wait of all.
        random: Draws each wait.

    Source: Brooker 2015, "Exponential Backoff And Jitter", AWS Architecture Blog, "full jitter".
    """

    def __init__(self, base_s: float, cap_s: float, random: Random) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random
        self._ceiling_s = base_s

    def next_s(self) -> float:
        """Return how long to wait now, and raise the ceiling of the wait after it."""
        delay_s = self._random.uniform(0, self._ceiling_s)
        self._ceiling_s = min(self._cap_s, 2 * self._ceiling_s)
        return delay_s

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._ceiling_s = self._base_s
