"""A progress bar on a terminal, and nothing where there is none."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Called with (done, total).
Progress = Callable[[int, int], None]
BAR_COLUMNS = 30
TICK_S = 0.5


@contextmanager
def bar(label: str, *, unit: str = "images") -> Iterator[Progress | None]:
    """Give a callback that draws on stderr; `None` where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return

    def draw(done: int, total: int) -> None:
        filled = BAR_COLUMNS * done // total
        sys.stderr.write(f"\r{label} [{'#' * filled:<{BAR_COLUMNS}}] {done}/{total} {unit}")
        sys.stderr.flush()

    try:
        yield draw
    finally:
        # Wiped, so that the next line of the log starts in column 0.
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show on stderr how long something takes that cannot say how far it is."""
    if not sys.stderr.isatty():
        yield
        return
    stopped = threading.Event()
    started = time.monotonic()

    def draw() -> None:
        while not stopped.wait(TICK_S):
            sys.stderr.write(f"\r{label} … {time.monotonic() - started:.0f} s")
            sys.stderr.flush()

    thread = threading.Thread(target=draw, name="edge-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
