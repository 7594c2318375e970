"""What signals do while a command is at work."""

from __future__ import annotations

import signal
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
