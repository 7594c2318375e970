"""The newest messages, kept in memory: for tests and for showing what was published."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.messages.envelope import Message


class MemorySink:
    """Keeps messages; the oldest makes room for the newest.

    Args:
        capacity: Most messages kept.
    """

    name = "memory"
    may_wait = False

    def __init__(self, capacity: int = 100) -> None:
        self._kept: deque[Message] = deque(maxlen=capacity)

    @property
    def messages(self) -> list[Message]:
        """What is kept, oldest first."""
        return list(self._kept)

    def send(self, message: Message) -> None:
        """Keep it."""
        self._kept.append(message)

    def close(self, timeout_s: float) -> int:
        """Return 0; what is kept stays."""
        return 0
