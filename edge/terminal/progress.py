"""A progress bar for what takes over two seconds; on a terminal only."""

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
# What is done sooner needs no bar.
PATIENCE_S = 2.0


@contextmanager
def bar(
    label: str, *, unit: str = "images", patience_s: float = PATIENCE_S
) -> Iterator[Progress | None]:
    """Give a callback that draws on stderr; `None` where stderr is no terminal.

    Args:
        label: What is done.
        unit: What is counted, in the plural.
        patience_s: From the first call on, in which nothing is drawn.
    """
    if not sys.stderr.isatty():
        yield None
        return
    started_s = 0.0

    def draw(done: int, total: int) -> None:
        nonlocal started_s
        started_s = started_s or time.monotonic()
        if time.monotonic() - started_s < patience_s:
            return
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
