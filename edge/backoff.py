"""How long to wait before something is tried again."""

from __future__ import annotations

from random import Random


class Backoff:
    """Exponential backoff with full jitter: what broke together does not come back as one.

    Args:
        least_s: Shortest wait of all.
        base_s: Longest wait before the second try; it doubles with every further one.
        cap_s: Longest wait of all.
        random: Where the jitter comes from.

    Source: Brooker 2015, "Exponential Backoff And Jitter", AWS Architecture Blog, "full jitter".
    """

    def __init__(
        self, *, base_s: float, cap_s: float, least_s: float = 0.0, random: Random | None = None
    ) -> None:
        self._least_s = least_s
        self._base_s = base_s
        self._cap_s = cap_s
        self._random = random or Random()  # noqa: S311 - no secret hangs on it
        self._ceiling_s = base_s

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._ceiling_s = self._base_s

    def next_s(self) -> float:
        """Return how long to wait before the next try, and raise the ceiling of the one after."""
        delay_s = self._random.uniform(self._least_s, self._ceiling_s)
        self._ceiling_s = min(self._cap_s, 2 * self._ceiling_s)
        return delay_s
