"""Wait for what another thread or program does, and tell how long it took."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

TICK_S = 0.01


def eventually(condition: Callable[[], object], *, timeout_s: float = 60.0) -> bool:
    """Return whether a condition came true; the time ends a test that hangs, and judges nothing."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Stopwatch:
    """Counts the time of a block that this machine had for it.

    A thread sleeps tick after tick: on a machine with time it counts what a clock does; where other
    programs have the cores it is woken late, as whatever it measures is, and counts one tick.
    """

    def __init__(self) -> None:
        self._ticks = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopwatch", daemon=True)

    @property
    def elapsed_s(self) -> float:
        """Seconds so far, in whole ticks."""
        return self._ticks * TICK_S

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic() + TICK_S
        while not self._stopped.wait(due - time.monotonic()):
            self._ticks += 1
            due = max(due, time.monotonic() - TICK_S) + TICK_S
