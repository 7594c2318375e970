"""A progress bar for what takes over two seconds, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Called with (done, total).
Progress = Callable[[int, int], None]
BAR_COLUMNS = 30
# What is done sooner needs no bar.
PATIENCE_S = 2.0


@contextmanager
def bar(label: str, unit: str) -> Iterator[Progress | None]:
    """Give a callback that draws on stderr; `None` where stderr is no terminal.

    Args:
        label: What is done.
        unit: What is counted, in the plural.
    """
    if not sys.stderr.isatty():
        yield None
        return
    started_s = 0.0

    def draw(done: int, total: int) -> None:
        nonlocal started_s
        started_s = started_s or time.monotonic()
        if time.monotonic() - started_s < PATIENCE_S:
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
