"""Several cameras, one consumer: each camera that has a new frame gets its turn."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from edge.errors import SourceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from edge.capture.latest import CaptureThread, FrameBuffer
    from edge.frame import Frame

BufferT = TypeVar("BufferT", bound="FrameBuffer")

log = logging.getLogger(__name__)


class Turns(Generic[BufferT]):
    """Takes the newest frame of one camera after the other, round and round.

    A camera without a new frame is passed over, so that a slow one delays nobody; while every
    camera has one, each gets the same share of the interpreter. A file that breaks off is said,
    and raised once the other cameras have ended too.

    Args:
        captures: Started by the caller; all wake `changed`.
        changed: What the captures notify.

    Attributes:
        dropped: Frames of the same camera that were replaced untaken before the last one taken.
    """

    def __init__(
        self, captures: Sequence[CaptureThread[BufferT]], changed: threading.Condition
    ) -> None:
        self.dropped = 0
        self._captures = list(captures)
        self._changed = changed
        self._next = 0
        self._failure: SourceError | None = None

    @property
    def ended(self) -> bool:
        """Whether no camera will give a frame any more."""
        return all(capture.ended for capture in self._captures)

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
        if frame is None and self.ended and self._failure:
            raise self._failure
        return frame

    def _poll(self) -> Frame[BufferT] | None:
        count = len(self._captures)
        for offset in range(count):
            number = (self._next + offset) % count
            capture = self._captures[number]
            frame = None if capture.ended else self._poll_one(capture)
            if frame is not None:
                self._next = (number + 1) % count
                self.dropped = capture.dropped
                return frame
        return None

    def _poll_one(self, capture: CaptureThread[BufferT]) -> Frame[BufferT] | None:
        try:
            return capture.poll()
        except SourceError as error:
            if len(self._captures) > 1:
                log.error("camera %s ended: %s", capture.camera, error)  # noqa: TRY400 - a sentence
            self._failure = self._failure or error
            return None
