"""A source that is opened again whenever it breaks, for as long as the program runs."""

from __future__ import annotations

import logging
import threading
import time
import zlib
from typing import TYPE_CHECKING, Literal

from edge.backoff import Backoff
from edge.capture.aside import Aside
from edge.capture.source import NS_PER_S, enter, leave
from edge.errors import EdgeError, LoginError
from edge.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.picture import Picture
    from edge.capture.source import Source

    # `frozen`: it gives the same picture over and over. `paused`: somebody wants no frames of it.
    CameraState = Literal["online", "frozen", "offline", "paused"]

LEAST_S, BASE_S, CAP_S = 1.0, 2.0, 30.0
# Longest wait for one that answers, as a camera does while its encoder starts.
ANSWERING_S = 5.0
KNOCK_EVERY_S = 0.5
# A source that breaks sooner than this after it came back is still the same trouble.
SOUND_S = 10.0
# A sensor's noise alone changes some pixel of each frame; a camera that compresses may repeat
# itself for a few seconds.
FROZEN_S, LOOK_EVERY_S = 10.0, 1.0
LOOK_ROWS = 8
LINES, LINES_S = 6, 60.0
# One that is away is tried every `CAP_S`, and a try may take its source's longest patience.
TRY_S = 120.0

logger = logging.getLogger(__name__)


class Reopening:
    """Gives the pictures of a live source, and waits out its outages inside `read`.

    An outage is logged when it begins, with its reason, and when it is over; a source that comes
    and goes has at most six lines a minute. What is given after it may have another size.

    Args:
        open_source: Opens the source anew.
        name: Of the source, for the log; holds no secret.
        backoff: Waits between two tries; by default 1 to 30 s.
        begin_closed: A source that gives nothing at first is an outage, not an error.
        is_there: Whether the source can be had, as far as that is told without opening it: one that
            was away and is there again is opened at once. It may block.
        on_change: Told on the reading thread what the source's state has become.

    Attributes:
        state: Of the source; `online` from the start, until it fails.

    Raises:
        EdgeError: It cannot be opened at first, without `begin_closed`.
    """

    live = True
    __enter__, __exit__ = enter, leave

    # What a source needs to be opened, and who is told of it.
    def __init__(  # noqa: PLR0913
        self,
        open_source: Callable[[], Source],
        *,
        name: str,
        backoff: Backoff | None = None,
        begin_closed: bool = False,
        is_there: Callable[[], bool] | None = None,
        on_change: Callable[[CameraState], None] = lambda _: None,
    ) -> None:
        self.state: CameraState = "online"
        self._open_source = open_source
        self._name = name
        self._backoff = backoff or Backoff(least_s=LEAST_S, base_s=BASE_S, cap_s=CAP_S)
        self._is_there = is_there
        self._on_change = on_change
        self._interrupted = threading.Event()
        self._may_be_away = begin_closed
        self._lines = Repeats(LINES_S, burst=LINES, clock=time.monotonic)
        self._stillness = Stillness()
        self._down_since_s: float | None = None
        self._tried_s = float("-inf")
        self._up_since_s = float("-inf")
        self._is_at_once = self._is_locked = False
        self._knocking: Aside[bool] | None = None
        self._source: Source | None = None
        try:
            self._source = open_source()
        except EdgeError as error:
            self._go_down(error)

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next picture, however long that takes: `Source.read`.

        Raises:
            EdgeError: Its first one did not come, without `begin_closed`.
        """
        while not self._interrupted.is_set():
            try:
                source = self._source or self._reopen()
                picture = source.read(buffer) if source else None
            except EdgeError as error:
                self._go_down(error)
                continue
            if picture is not None:
                self._see(picture)
            return picture
        return None

    @property
    def is_away(self) -> bool:
        """Whether it gives nothing, and its reader has tried it of late: it does not hang."""
        return self.state == "offline" and time.monotonic() - self._tried_s < TRY_S

    def interrupt(self) -> None:
        """End a wait for the source's return, or for its next picture: `Source.interrupt`."""
        self._interrupted.set()
        if knocking := self._knocking:
            knocking.leave()
        if source := self._source:
            source.interrupt()

    def close(self) -> None:
        """Let go of the source."""
        self.interrupt()
        if source := self._source:
            source.close()

    def _reopen(self) -> Source | None:
        """Wait and try once; `None` when interrupted meanwhile."""
        self._wait()
        if self._interrupted.is_set():
            return None
        source = self._open_source()
        self._source = source
        # `interrupt` or `close` may have come while it was being opened, and found none.
        if self._interrupted.is_set():
            source.close()
            return None
        return source

    def _wait(self) -> None:
        """Wait for the next try: until the time is up, or what was away is there again.

        What was sound is tried at once, as what only hung gives frames then.
        """
        is_at_once, self._is_at_once = self._is_at_once, False
        if is_at_once:
            return
        began_s = time.monotonic()
        until_s = began_s + self._backoff.next_s()
        was_away = False
        while (left_s := until_s - time.monotonic()) > 0:
            if self._interrupted.wait(min(left_s, KNOCK_EVERY_S)):
                return
            is_there = self._knock(until_s)
            if is_there and was_away:
                self._backoff.reset()
                return
            was_away = was_away or is_there is False
            if is_there and not self._is_locked:
                until_s = min(until_s, began_s + ANSWERING_S)

    def _knock(self, until_s: float) -> bool | None:
        """Return whether the source can be had; `None` if that is not known in time."""
        left_s = until_s - time.monotonic()
        if self._is_there is None or left_s <= 0:
            return None
        self._knocking = knocking = Aside[bool]("edge-knock")
        if self._interrupted.is_set():
            knocking.leave()
        try:
            return knocking.ask(self._is_there, left_s)
        except (TimeoutError, EdgeError):
            return None
        finally:
            knocking.leave()

    def _go_down(self, error: EdgeError) -> None:
        if not self._may_be_away:
            raise error
        self._tried_s = time.monotonic()
        self._is_locked = isinstance(error, LoginError)
        if self._down_since_s is None:
            self._down_since_s = time.monotonic()
            if self._down_since_s - self._up_since_s > SOUND_S:
                self._backoff.reset()
                self._is_at_once = self._up_since_s >= 0
            self._say(f"{error}; it is tried again every {LEAST_S:g} to {CAP_S:g} s")
            self._tell("offline")
        # Last, as what hangs may take a while to be closed.
        if source := self._source:
            self._source = None
            source.close()

    def _see(self, picture: Picture) -> None:
        self._may_be_away = True
        if self._down_since_s is not None:
            self._up_since_s = time.monotonic()
            outage_s = self._up_since_s - self._down_since_s
            self._down_since_s = None
            self._say(f"{self._name} gives frames again, after {outage_s:.0f} s")
            self._stillness = Stillness()
            self._tell("online")
        elif self._up_since_s < 0:
            self._up_since_s = time.monotonic()
        is_frozen = self._stillness.look(picture)
        if is_frozen != (self.state == "frozen"):
            said = f"has given the same picture for {FROZEN_S:g} s" if is_frozen else "moves again"
            self._say(f"{self._name} {said}")
            self._tell("frozen" if is_frozen else "online")

    def _say(self, line: str) -> None:
        """Log a line, unless there were `LINES` of any kind within a minute."""
        if lines := self._lines.count(""):
            tail = f" ({lines - 1} lines like it left out)" if lines > 1 else ""
            logger.warning("%s%s", line, tail)

    def _tell(self, state: CameraState) -> None:
        self.state = state
        self._on_change(state)


class Stillness:
    """Tells whether a camera gives the same picture over and over, by one look a second."""

    def __init__(self) -> None:
        self._is_frozen = False
        self._seen = 0
        self._since_ns = self._next_ns = -1

    def look(self, picture: Picture) -> bool:
        """Return whether the picture has been the same for `FROZEN_S`.

        Of every eighth row all pixels count: 0.1 ms of a 720p frame, and no copy of it.
        """
        now_ns = picture.captured_ns
        if now_ns < self._next_ns:
            return self._is_frozen
        self._next_ns = now_ns + round(LOOK_EVERY_S * NS_PER_S)
        seen = 0
        for row in picture.pixels[::LOOK_ROWS]:
            seen = zlib.crc32(row, seen)
        if self._since_ns < 0 or seen != self._seen:
            self._seen, self._since_ns = seen, now_ns
        self._is_frozen = now_ns - self._since_ns >= FROZEN_S * NS_PER_S
        return self._is_frozen
