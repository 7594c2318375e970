"""Capture on threads of their own, each with one slot between it and the consumer of them all.

Three buffers go round: the writer's, the slot's and the reader's. A hand-over swaps two of them and
copies nothing, so none is ever written while somebody may look at it.

The buffers are filled here, behind the read, and not by the consumer: the image is still in this
core's cache (preprocessing 720p takes 0.25 ms, against 2.8 ms on the consumer's core under load),
the consumer never waits for it, and what circulates is the small input tensor, not the image.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from edge.capture.picture import Scaler
from edge.errors import EdgeError, SourceError
from edge.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.look import Looker
    from edge.capture.picture import Picture
    from edge.capture.source import Source
    from edge.results.observation import Look

THREAD_NAME = "edge-capture"
JOIN_TIMEOUT_S = 2.0
log = logging.getLogger(__name__)


class FrameBuffer(Protocol):
    """What a picture is prepared into."""

    def fill(self, picture: Picture) -> bool | None:
        """Take in a picture, whose pixels change afterwards; True has nobody get the frame."""


BufferT = TypeVar("BufferT", bound=FrameBuffer)


class CaptureThread(Generic[BufferT]):
    """Reads a source on the thread `edge-capture`; the source stays the caller's to close.

    Use it inside the source's own `with`: leaving stops the thread first. A frame of a live source
    replaces one that was not taken, which is counted; that of any other waits for it to be taken.

    Args:
        source: Read by this thread only, from `start` to `stop`.
        buffers: Three of a kind, filled by this thread in turn.
        camera: Name of the camera, for its frames.
        changed: Notified whenever a `poll` may give something new; of several captures one, made
            of an `RLock`, as is the one of its own by default.

    Attributes:
        live: A new frame replaces one that was not taken, or waits for it.
        wanted_px: By who asks for pictures, their longest side; `want_picture` is the way in.
        is_looking: Pictures are looked at now and then; assign it at any time.
        ended: A `poll` has found that no frame will come any more.
        failure: Why not, where the source broke.
    """

    def __init__(
        self,
        source: Source,
        buffers: tuple[BufferT, BufferT, BufferT],
        *,
        camera: str,
        changed: threading.Condition | None = None,
    ) -> None:
        self.camera, self.live = camera, source.live
        self.changed = changed or threading.Condition()
        self.ended = self.is_looking = self._paused = self._finished = False
        self.failure: SourceError | None = None
        self.wanted_px: dict[object, int] = {}
        self._looker: Looker | None = None
        self._source, self._replaced = source, 0
        self._writer, self._slot, self._reader = buffers
        self._waiting: Frame[BufferT] | None = None
        self._scaler = Scaler("bgr")
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    @property
    def is_away(self) -> bool:
        """Whether no frame is to be expected: it is paused, or the source away and tried again."""
        return self._paused or getattr(self._source, "is_away", False)

    def start(self) -> None:
        """Begin to read; once only."""
        self._thread.start()

    def poll(self) -> Frame[BufferT] | None:
        """Borrow the frame that waits, if one does: its buffer holds until the next `poll`.

        Raises:
            SourceError: The source broke; frames read before that have been taken.
        """
        with self.changed:
            frame = None if self._paused else self._waiting
            if frame is not None:
                self._waiting = None
                self._slot, self._reader = self._reader, self._slot
                self.changed.notify_all()
            elif self._finished and self._waiting is None:
                self.ended = True
                if self.failure:
                    raise self.failure
            return frame

    def use(self, buffers: tuple[BufferT, BufferT, BufferT]) -> None:
        """Have frames prepared into others from now on; one that waits is dropped, and counted."""
        with self.changed:
            self._writer, self._slot, self._reader = buffers
            self._replaced += self._waiting is not None
            self._waiting = None
            self.changed.notify_all()

    def pause(self, *, on: bool) -> None:
        """Give no frames, or give them again; a live source is read on, any other waits."""
        with self.changed:
            self._paused = on
            if on and self.live:
                self._waiting = None
            self.changed.notify_all()

    def want_picture(self, max_side_px: int) -> Callable[[], object]:
        """Have each frame bring a picture of up to so long a side, until the result is called.

        Safe from any thread. Where several ask, the largest counts; a smaller image keeps its size.
        """
        wish = object()
        self.wanted_px[wish] = max_side_px
        return partial(self.wanted_px.pop, wish, None)

    def stop(self) -> None:
        """Read no more; raises a `SourceError` where the source's `read` does not return."""
        self._finish()
        self._source.interrupt()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)
        if self._thread.is_alive():
            raise SourceError(
                f"thread {THREAD_NAME} did not stop within {JOIN_TIMEOUT_S:g} s: the source "
                "does not return from its read; unplug the camera or end the process"
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        pixels: NDArray[np.uint8] | None = None
        try:
            for sequence in itertools.count():
                picture = None if self._finished else self._source.read(pixels)
                if picture is None:
                    return
                while not self._finished:
                    is_dropped = self._paused and self.live
                    frame = None if is_dropped else self._prepare(picture, sequence)
                    if frame is None or self._hand_over(frame):
                        break
                pixels = picture.pixels
        except Exception as error:  # noqa: BLE001 - crosses to the consumer's thread, raised by poll
            said = f"thread {THREAD_NAME} failed: {type(error).__name__}: {error}"
            said = str(error) if isinstance(error, EdgeError) else f"{said}; run again with --debug"
            self.failure = SourceError(said)
            self.failure.__cause__ = error
        finally:
            self._finish()

    def _finish(self) -> None:
        """Take in no more frames; one that waits can still be taken."""
        with self.changed:
            self._finished = True
            self.changed.notify_all()

    def _prepare(self, picture: Picture, sequence: int) -> Frame[BufferT] | None:
        began_ns, writer = time.monotonic_ns(), self._writer
        if writer.fill(picture):
            return None
        wanted_px = max(tuple(self.wanted_px.values()), default=0)
        return Frame(
            buffer=writer,
            size_wh=picture.size_wh,
            sequence=sequence,
            captured_ns=picture.captured_ns,
            captured_utc_ns=picture.captured_utc_ns,
            source_ns=picture.source_ns,
            capture_ns=picture.work_ns,
            preprocess_ns=time.monotonic_ns() - began_ns,
            camera=self.camera,
            picture=self._scaler.reduced(picture, max_side_px=wanted_px) if wanted_px else None,
            look=self._look(picture) if self.is_looking else None,
        )

    def _look(self, picture: Picture) -> Look | None:
        if self._looker is None:
            from edge.capture.look import Looker  # noqa: PLC0415 - off by default

            self._looker = Looker()
        is_frozen = getattr(self._source, "state", "online") == "frozen"
        return self._looker.look(picture, is_frozen=is_frozen)

    def _hand_over(self, frame: Frame[BufferT]) -> bool:
        """Put the writer's buffer into the slot; False where it is none any more, or at the end."""
        with self.changed:
            if not self.live:
                self.changed.wait_for(lambda: self._waiting is None or self._finished)
            if self._finished or frame.buffer is not self._writer:
                return False
            if not (self._paused and self.live):
                self._replaced += self._waiting is not None
                self._writer, self._slot = self._slot, self._writer
                # Where most frames are replaced, most looks would be lost with them.
                look = frame.look or (self._waiting.look if self._waiting else None)
                self._waiting = replace(frame, dropped=self._replaced, look=look)
                self.changed.notify_all()
            return True


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
        self, captures: Sequence[CaptureThread[BufferT]], changed: threading.Condition | None = None
    ) -> None:
        self.captures = tuple(captures)
        self._changed = changed or captures[0].changed
        self.expects_more, self.polled_s, self._next = False, 0.0, 0

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
        failures = [each.failure for each in self.captures if each.failure]
        if failures and frame is None and self.ended:
            raise failures[0]
        return frame

    def _poll(self) -> Frame[BufferT] | None:
        captures = self.captures
        for number in range(self._next, self._next + len(captures)):
            capture = captures[number % len(captures)]
            try:
                frame = None if capture.ended else capture.poll()
            except SourceError as error:
                frame = None
                if len(captures) > 1:
                    log.error("camera %s ended: %s", capture.camera, error)  # noqa: TRY400
            if frame is not None:
                self._next = number % len(captures) + 1
                return frame
        return None
