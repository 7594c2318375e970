"""What signals do while a command is at work."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Call these on signals, for the length of the block."""
    before = {
        number: signal.signal(number, lambda *_, handle=handle: handle())
        for number, handle in handlers.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Give what Ctrl-C or a stop sets, so that a step is done whole; twice ends at once."""
    asked = threading.Event()

    def ask() -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    is_main = threading.current_thread() is threading.main_thread()
    with handling(dict.fromkeys(ENDING, ask) if is_main else {}):
        yield asked
