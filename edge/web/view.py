"""What one camera shows: a picture is made when somebody asks for it.

The loop only hands over. A viewer asks the capture for a picture of the next frame, the first
observation that brings one ends the wish, and a thread beside the loop draws and encodes it. So a
stream of ten pictures a second costs ten, at any frame rate; where nobody looks, nothing is asked.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.draw.annotated import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from edge.model.description import Description
    from edge.results.event import Event
    from edge.results.health import Health
    from edge.results.observation import Observation

    # Has a capture bring pictures; what it returns ends that.
    Want = Callable[[int], Callable[[], object]]

KEPT_EVENTS = 50


class View:
    """One camera's newest observation with a picture, and what to tell of it.

    Args:
        want: Asks the camera for pictures of so many pixels.
        describe: Says who the model is that runs.
        painter: One thread for all cameras. With images on each viewer's own, glibc's arenas kept
            12 MiB more for each: 182 MiB with six viewers, where this has 123.
        picture_px: Of the longer side.
        rate_hz: Most pictures a second.

    Attributes:
        frames: So far.
        dropped: Frames replaced unseen so far.
        seen_s: Monotonic clock of the newest frame; `None` before the first.
        size_wh: Of the camera's frames, pixels.
        counts: Of the newest frame, as an observation has them.
        health: Of the camera; `None` without a self-check.
        events: The newest ones.
        kept: The newest observation that brought a picture, and the description of its model.
        encoded: Pictures drawn so far.
    """

    def __init__(
        self,
        want: Want,
        describe: Callable[[], Description],
        painter: Executor,
        *,
        picture_px: int,
        rate_hz: float,
    ) -> None:
        self.frames = self.dropped = self.encoded = 0
        self.seen_s: float | None = None
        self.size_wh = (0, 0)
        self.counts: dict[str, dict[str, int]] = {}
        self.health: Health | None = None
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.kept: tuple[Observation, Description] | None = None
        self._want = want
        self._describe = describe
        self._painter = painter
        self._picture_px = picture_px
        self._period_s = 1 / rate_hz
        self._changed = threading.Condition()
        self._number = 0
        self._kept_s = 0.0
        self._release: Callable[[], object] | None = None
        self._painting = threading.Lock()
        self._painted = (0, b"")

    def observe(self, observation: Observation) -> None:
        """Take a frame's observation; keep it if somebody waits for its picture."""
        self.frames += 1
        self.dropped = observation.dropped_frames
        self.seen_s = time.monotonic()
        self.size_wh = observation.size_wh
        self.counts = observation.counts
        self.health = observation.health
        if observation.events:
            self.events.extend(observation.events)
        if observation.picture is None or self._release is None:
            return
        kept = replace(observation, result=observation.result.copy()), self._describe()
        with self._changed:
            self.kept = kept
            self._kept_s = self.seen_s
            self._number += 1
            self._end_wish()
            self._changed.notify_all()

    @property
    def number(self) -> int:
        """Of the newest picture."""
        return self._number

    def wish(self) -> None:
        """Ask for a picture of the next frame, and do not wait for it."""
        with self._changed:
            self._release = self._release or self._want(self._picture_px)

    def picture(self, after: int, *, timeout_s: float) -> tuple[int, bytes] | None:
        """Wait for a newer picture than the one of a number, and have it drawn.

        Args:
            after: The number; 0 takes none that was there before.
            timeout_s: How long to wait.

        Returns:
            Its number, and a JPEG; `None` where none came.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            # One rate for all viewers together: who comes too soon gets the picture of the others.
            pause_s = self._kept_s + self._period_s - time.monotonic()
            after = after or self._number
            if not self._changed.wait_for(lambda: self._number > after, min(pause_s, timeout_s)):
                self._release = self._release or self._want(self._picture_px)
                left_s = deadline_s - time.monotonic()
                if not self._changed.wait_for(lambda: self._number > after, left_s):
                    return None
            number, kept = self._number, self.kept
        if kept is None:
            return None
        with self._painting:
            if self._painted[0] < number:
                self.encoded += 1
                drawn = self._painter.submit(jpeg, *kept, max_side_px=self._picture_px)
                self._painted = number, drawn.result()
            return self._painted

    def close(self) -> None:
        """Ask for nothing more."""
        with self._changed:
            self._end_wish()

    def _end_wish(self) -> None:
        if self._release:
            self._release()
            self._release = None
