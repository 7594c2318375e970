"""A progress bar for what takes over two seconds; on a terminal only."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Called with (done, total).
Progress = Callable[[int, int], None]
TICK_S = 0.5
# What is done sooner needs no bar.
PATIENCE_S = 2.0


@contextmanager
def bar(
    label: str,
    *,
    unit: str = "images",
    patience_s: float = PATIENCE_S,
    note: Callable[[], str] | None = None,
) -> Iterator[Progress | None]:
    """Give a callback that draws on stderr, and wipe that at the end; `None` without a terminal.

    Args:
        label: What is done.
        unit: What is counted, in the plural.
        patience_s: In which nothing is drawn.
        note: Gives what stands behind the bar.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm  # noqa: PLC0415 - 20 ms

    with tqdm(desc=label, unit=f" {unit}", delay=patience_s, leave=False) as shown:

        def draw(done: int, total: int) -> None:
            shown.total = total
            if note:
                shown.set_postfix_str(note(), refresh=False)
            shown.update(done - shown.n)

        yield draw


@contextmanager
def waiting(label: str) -> Iterator[None]:
    """Show on stderr how long something takes that cannot say how far it is."""
    if not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm  # noqa: PLC0415 - 20 ms

    stopped = threading.Event()
    with tqdm(desc=label, bar_format="{desc} … {elapsed}", delay=TICK_S, leave=False) as shown:

        def draw() -> None:
            while not stopped.wait(TICK_S):
                shown.update(0)

        thread = threading.Thread(target=draw, name="edge-waiting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()
