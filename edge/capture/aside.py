"""Calls that nothing can interrupt, on a thread that may be left behind with one."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


class Aside(Generic[ResultT]):
    """Runs calls one after the other, such as a library's read or the look-up of a host's name.

    Whoever asks waits no longer than they want. A call that does not return holds up this thread
    alone, which does not keep the process from its end.

    Args:
        name: Of the thread.
        at_end: Called on it once it was left and the call at hand is over.
    """

    def __init__(self, name: str, *, at_end: Callable[[], None] = lambda: None) -> None:
        self._at_end = at_end
        self._is_left = False
        self._calls: queue.SimpleQueue[Callable[[], ResultT] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[ResultT | None, Exception | None]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def ask(self, call: Callable[[], ResultT], timeout_s: float) -> ResultT | None:
        """Return what a call returns, or raise what it raises; `None` once it was left.

        Raises:
            TimeoutError: It does not return in time; leave it then, and ask another.
        """
        if self._is_left:
            return None
        self._calls.put(call)
        try:
            result, failure = self._results.get(timeout=timeout_s)
        except queue.Empty as error:
            raise TimeoutError from error
        if self._is_left:
            return None
        if failure is not None:
            raise failure
        return result

    def leave(self) -> None:
        """Ask no more: whoever waits is let go at once; from any thread, again and again."""
        self._is_left = True
        self._calls.put(None)
        self._results.put((None, None))

    def _run(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                try:
                    self._results.put((call(), None))
                except Exception as error:  # noqa: BLE001, PERF203 - raised where it was asked
                    self._results.put((None, error))
        finally:
            self._at_end()
