"""A source that is opened again whenever it breaks, for as long as the program runs."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from edge.backoff import Backoff
from edge.capture.source import enter, leave
from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.picture import Picture
    from edge.capture.source import Source

LEAST_S, BASE_S, CAP_S = 1.0, 2.0, 30.0

logger = logging.getLogger(__name__)


class Reopening:
    """Gives the pictures of a live source, and waits out its outages inside `read`.

    An outage is logged once when it begins, with its reason, and once when it is over. What is
    given after it may have another size.

    Args:
        open_source: Opens the source anew.
        name: Of the source, for the log.
        backoff: Waits between two tries; by default 1 to 30 s.
        begin_closed: A source that cannot be opened at first is an outage, not an error.
        on_change: Told on the reading thread that the source went down (False) or is back (True).

    Attributes:
        is_up: It is open, and has not failed since.

    Raises:
        SourceError: It cannot be opened at first, without `begin_closed`.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(
        self,
        open_source: Callable[[], Source],
        *,
        name: str,
        backoff: Backoff | None = None,
        begin_closed: bool = False,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        self.is_up = False
        self._open_source = open_source
        self._name = name
        self._backoff = backoff or Backoff(least_s=LEAST_S, base_s=BASE_S, cap_s=CAP_S)
        self._on_change = on_change
        self._interrupted = threading.Event()
        self._down_since_s: float | None = None
        self._source: Source | None = None
        try:
            self._source = open_source()
            self.is_up = True
        except SourceError as error:
            if not begin_closed:
                raise
            self._go_down(error)

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next picture, however long that takes: `Source.read`."""
        while not self._interrupted.is_set():
            try:
                source = self._source or self._reopen()
                picture = source.read(buffer) if source else None
            except SourceError as error:
                self._go_down(error)
                continue
            if picture is not None and not self.is_up:
                self._come_up()
            return picture
        return None

    def interrupt(self) -> None:
        """End a wait for the source's return, or for its next picture: `Source.interrupt`."""
        self._interrupted.set()
        if source := self._source:
            source.interrupt()

    def close(self) -> None:
        """Let go of the source."""
        self.interrupt()
        if source := self._source:
            source.close()

    def _reopen(self) -> Source | None:
        """Wait and try once; `None` when interrupted meanwhile."""
        if self._interrupted.wait(self._backoff.next_s()):
            return None
        source = self._open_source()
        self._source = source
        # `interrupt` or `close` may have come while it was being opened, and found none.
        if self._interrupted.is_set():
            source.close()
            return None
        return source

    def _go_down(self, error: SourceError) -> None:
        if source := self._source:
            self._source = None
            source.close()
        if self._down_since_s is not None:
            return
        self._down_since_s = time.monotonic()
        logger.warning("%s; it is tried again every %g to %g s", error, LEAST_S, CAP_S)
        self._tell(is_up=False)

    def _come_up(self) -> None:
        outage_s = time.monotonic() - (self._down_since_s or time.monotonic())
        self._down_since_s = None
        self._backoff.reset()
        logger.warning("%s gives frames again, after %.0f s", self._name, outage_s)
        self._tell(is_up=True)

    def _tell(self, *, is_up: bool) -> None:
        self.is_up = is_up
        if self._on_change:
            self._on_change(is_up)
