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
from edge.capture.reopening import Reopening
from edge.errors import EdgeError, SourceError
from edge.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.look import Looker
    from edge.capture.picture import Picture
    from edge.capture.source import Source
    from edge.results.health import Look

THREAD_NAME = "edge-capture"
JOIN_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class FrameBuffer(Protocol):
    """What a picture is prepared into."""

    def fill(self, picture: Picture) -> bool | None:
        """Take in a picture; its pixels are the caller's and change afterwards.

        Returns:
            True leaves the frame out: nobody gets it.
        """


BufferT = TypeVar("BufferT", bound=FrameBuffer)


class CaptureThread(Generic[BufferT]):
    """Reads a source on the thread `edge-capture`; the source stays the caller's to close.

    Use it inside the source's own `with`: leaving stops the thread first. A frame of a live source
    replaces one that was not taken, which is counted; that of any other waits for it to be taken.

    Args:
        source: Read by this thread only, from `start` to `stop`.
        buffers: Three of a kind, filled by this thread in turn.
        camera: Name of the camera, for its frames.
        changed: Notified whenever a `poll` may give something new, so that one consumer can wait
            for several captures; by default one of its own. Made of an `RLock`, as by default.
        join_timeout_s: How long `stop` waits for a `read` that cannot be interrupted.

    Attributes:
        is_looking: Pictures are looked at now and then; assign it at any time.
        ended: A `poll` has found that no frame will come any more.
    """

    def __init__(
        self,
        source: Source,
        buffers: tuple[BufferT, BufferT, BufferT],
        *,
        camera: str,
        changed: threading.Condition | None = None,
        join_timeout_s: float = JOIN_TIMEOUT_S,
    ) -> None:
        self.camera = camera
        self.changed = changed or threading.Condition()
        self.ended = False
        self.is_looking = False
        self._looker: Looker | None = None
        self._source = source
        self._join_timeout_s = join_timeout_s
        self._writer, self._slot, self._reader = buffers
        self._paused = False
        self._waiting: Frame[BufferT] | None = None
        self._replaced = 0
        self._finished = False
        self._failure: Exception | None = None
        self._wanted_px: dict[object, int] = {}
        self._scaler = Scaler("bgr")
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    @property
    def live(self) -> bool:
        """Whether a new frame replaces one that was not taken, or waits for it."""
        return self._source.live

    @property
    def is_away(self) -> bool:
        """Whether no frame is to be expected: it is paused, or the source away and tried again."""
        is_out = isinstance(self._source, Reopening) and self._source.is_away
        return self._paused or is_out

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
                if self._failure is not None:
                    raise _as_source_error(self._failure) from self._failure
            return frame

    def use(self, buffers: tuple[BufferT, BufferT, BufferT]) -> None:
        """Have frames prepared into others from now on; one that waits is dropped, and counted."""
        with self.changed:
            self._writer, self._slot, self._reader = buffers
            self._replaced += self._waiting is not None
            self._waiting = None
            self.changed.notify_all()

    def pause(self, *, on: bool) -> None:
        """Give no frames, or give them again; safe from any thread.

        A live source is read on, so that it stays open, and its frames count as dropped by nobody;
        any other waits.
        """
        with self.changed:
            self._paused = on
            if on and self.live:
                self._waiting = None
            self.changed.notify_all()

    def want_picture(self, max_side_px: int) -> Callable[[], object]:
        """Have each frame from now on bring a reduced picture; safe from any thread.

        Args:
            max_side_px: Of the picture's longer side; where several ask, the largest counts. An
                image that is smaller keeps its size.

        Returns:
            Call it to ask no more.
        """
        wish = object()
        self._wanted_px[wish] = max_side_px
        return partial(self._wanted_px.pop, wish, None)

    def inherit(self, before: CaptureThread[BufferT]) -> None:
        """Go by what was wished of the capture that this one takes the place of; before `start`."""
        self._wanted_px = before._wanted_px

    def stop(self) -> None:
        """Read no more; a second call does nothing.

        Raises:
            SourceError: The source holds the thread in a `read` that does not return.
        """
        self._finish()
        self._source.interrupt()
        if not self._thread.is_alive():
            return
        self._thread.join(self._join_timeout_s)
        if self._thread.is_alive():
            raise SourceError(
                f"thread {THREAD_NAME} did not stop within {self._join_timeout_s:g} s: the source "
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
                if picture is None or not self._take_in(picture, sequence):
                    return
                pixels = picture.pixels
        except Exception as error:  # noqa: BLE001 - crosses to the consumer's thread, raised by poll
            self._failure = error
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
        preprocess_ns = time.monotonic_ns() - began_ns
        wanted_px = max(tuple(self._wanted_px.values()), default=0)
        return Frame(
            buffer=writer,
            size_wh=picture.size_wh,
            sequence=sequence,
            captured_ns=picture.captured_ns,
            captured_utc_ns=picture.captured_utc_ns,
            source_ns=picture.source_ns,
            capture_ns=picture.work_ns,
            preprocess_ns=preprocess_ns,
            camera=self.camera,
            picture=self._scaler.reduced(picture, max_side_px=wanted_px) if wanted_px else None,
            look=self._look(picture) if self.is_looking else None,
        )

    def _look(self, picture: Picture) -> Look | None:
        if self._looker is None:
            from edge.capture.look import Looker  # noqa: PLC0415 - off by default

            self._looker = Looker()
        source = self._source
        is_frozen = isinstance(source, Reopening) and source.state == "frozen"
        return self._looker.look(picture, is_frozen=is_frozen)

    def _take_in(self, picture: Picture, sequence: int) -> bool:
        """Prepare a picture and put it into the slot; False when nobody takes frames any more."""
        while not self._finished:
            if self._paused and self.live:
                return True
            frame = self._prepare(picture, sequence)
            if frame is None or self._hand_over(frame):
                return True
        return False

    def _hand_over(self, frame: Frame[BufferT]) -> bool:
        """Put the writer's buffer into the slot; False where it is none any more, or at the end."""
        with self.changed:
            if not self.live:
                self.changed.wait_for(lambda: self._waiting is None or self._finished)
            if self._finished or frame.buffer is not self._writer:
                return False
            if self._paused and self.live:
                return True
            self._replaced += self._waiting is not None
            self._writer, self._slot = self._slot, self._writer
            # Where most frames are replaced, most looks would be lost with them.
            look = frame.look or (self._waiting.look if self._waiting else None)
            self._waiting = replace(frame, dropped=self._replaced, look=look)
            self.changed.notify_all()
            return True


def _as_source_error(failure: Exception) -> SourceError:
    if isinstance(failure, EdgeError):
        return SourceError(str(failure))
    return SourceError(
        f"thread {THREAD_NAME} failed: {type(failure).__name__}: {failure}; run again with --debug"
    )
