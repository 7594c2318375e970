"""How patient the MQTT sink is, and how long it waits between two tries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Pace:
    """Every waiting time of the MQTT sink, seconds.

    Attributes:
        base_s: Longest wait before the second try; it doubles with every further one.
        cap_s: Longest wait of all.
        refused_s: Shortest wait after a refusal: at most six tries a minute.
        steady_s: A connection that lasted so long makes the next wait short again. Two clients with
            one id throw each other off sooner than this, and so slow each other down.
        answer_s: Longest wait for the broker to accept, and for it to acknowledge a message.
        repeat_log_s: The same fault is logged again no sooner.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    refused_s: float = 10.0
    steady_s: float = 30.0
    answer_s: float = 10.0
    repeat_log_s: float = 600.0


class Backoff:
    """Exponential backoff with full jitter: units that lost one broker do not return as one.

    Source: Brooker 2015, "Exponential Backoff And Jitter", AWS Architecture Blog, "full jitter".
    """

    def __init__(self, pace: Pace, random: Random) -> None:
        self._pace = pace
        self._random = random
        self._ceiling_s = pace.base_s

    def reset(self) -> None:
        """Start again from the shortest wait."""
        self._ceiling_s = self._pace.base_s

    def next_s(self, *, refused: bool) -> float:
        """Return how long to wait before the next try, and raise the ceiling of the one after.

        Args:
            refused: The broker is there and wants none of us.
        """
        delay_s = self._random.uniform(0, self._ceiling_s)
        self._ceiling_s = min(self._pace.cap_s, 2 * self._ceiling_s)
        return max(delay_s, self._pace.refused_s) if refused else delay_s
