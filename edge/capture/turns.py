"""Whose frame comes next, of several cameras."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Generic

from edge.capture.latest import BufferT, CaptureThread
from edge.errors import SourceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from edge.frame import Frame

log = logging.getLogger(__name__)


class Turns(Generic[BufferT]):
    """Takes the newest frame of one camera after the other, round and round.

    A camera without a new frame is passed over, so that a slow one delays nobody; while every
    camera has one, each gets the same share of the interpreter. A file that breaks off is said,
    and raised once the other cameras have ended too.

    Args:
        captures: Started by the caller; all notify the same `changed`.
        changed: That; by default of the first capture.

    Attributes:
        captures: Assign others while frames are taken.
        expects_more: Others will be assigned, so that the end of these is not the end.
        polled_s: When `take` last came back, on the monotonic clock.
    """

    def __init__(
        self,
        captures: Sequence[CaptureThread[BufferT]],
        changed: threading.Condition | None = None,
    ) -> None:
        self.captures = tuple(captures)
        self.expects_more = False
        self.polled_s = 0.0
        self._changed = changed or captures[0].changed
        self._next = 0
        self._failures: dict[CaptureThread[BufferT], SourceError] = {}

    @property
    def ended(self) -> bool:
        """Whether no camera will give a frame any more."""
        return not self.expects_more and all(capture.ended for capture in self.captures)

    def take(self, timeout_s: float | None) -> Frame[BufferT] | None:
        """Wait for a frame and borrow it: its buffer holds until the same camera's next one.

        Returns:
            `None` when the time is up, or, with `ended` set, at the end of all cameras.

        Raises:
            SourceError: Every camera has ended, and one of them broke.
        """
        with self._changed:
            frame = self._poll()
            if frame is None and not self.ended:
                self._changed.wait(timeout_s)
                frame = self._poll()
        self.polled_s = time.monotonic()
        if frame is None and self.ended:
            failures = (found for each, found in self._failures.items() if each in self.captures)
            if failure := next(failures, None):
                raise failure
        return frame

    def _poll(self) -> Frame[BufferT] | None:
        captures = self.captures
        order = (*captures[self._next :], *captures[: self._next])
        for offset, capture in enumerate(order):
            frame = None if capture.ended else self._poll_one(capture)
            if frame is not None:
                self._next = (self._next + offset + 1) % len(order)
                return frame
        return None

    def _poll_one(self, capture: CaptureThread[BufferT]) -> Frame[BufferT] | None:
        try:
            return capture.poll()
        except SourceError as error:
            if len(self.captures) > 1:
                log.error("camera %s ended: %s", capture.camera, error)  # noqa: TRY400 - a sentence
            self._failures.setdefault(capture, error)
            return None
