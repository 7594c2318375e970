"""Messages on their way out: bounded, first in first out, the oldest dropped and counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Tally:
    """Where every message that was ever put is now; the three add up to all of them.

    Attributes:
        settled: Delivered.
        dropped: Thrown away, the oldest first, because the outbox was full.
        waiting: Still here, or taken and not settled yet.
    """

    settled: int
    dropped: int
    waiting: int


class Outbox:
    """A queue between the thread that makes messages and the one that delivers them.

    A taken message is still the outbox's business until it is settled or put back. Every method is
    O(1) in the number of messages, except `put_back`, which is linear in those it is given.

    Args:
        capacity: Most messages that wait, those taken apart.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, got {capacity}")
        self._capacity = capacity
        self._messages: deque[bytes] = deque()
        self._taken = 0
        self._settled = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def put(self, message: bytes) -> None:
        """Append a message; the oldest waiting one makes room where there is none."""
        with self._lock:
            if len(self._messages) >= self._capacity:
                self._messages.popleft()
                self._dropped += 1
            self._messages.append(message)

    def take(self) -> bytes | None:
        """Return the oldest message to deliver, or None; settle it or put it back later."""
        with self._lock:
            if not self._messages:
                return None
            self._taken += 1
            return self._messages.popleft()

    def settle(self) -> None:
        """Count one taken message as delivered."""
        with self._lock:
            self._taken -= 1
            self._settled += 1

    def put_back(self, messages: Sequence[bytes]) -> None:
        """Return taken messages to the front; the oldest beyond capacity are dropped.

        Args:
            messages: In the order in which they were taken.
        """
        with self._lock:
            self._taken -= len(messages)
            room = self._capacity - len(self._messages)
            kept = messages[max(0, len(messages) - room) :]
            self._dropped += len(messages) - len(kept)
            self._messages.extendleft(reversed(kept))

    def tally(self) -> Tally:
        """Return the counts of one moment."""
        with self._lock:
            return Tally(self._settled, self._dropped, len(self._messages) + self._taken)
