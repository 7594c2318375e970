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

    from edge.capture.latest import CaptureThread
    from edge.config.sections import Config
    from edge.config.web import Web
    from edge.model.description import Description
    from edge.parts import Parts
    from edge.preprocess import InputBuffer
    from edge.results.observation import Event, Health, Observation

KEPT_EVENTS = 50
# No frame for so long, nor for as long as so many frames take, and a camera is not well.
HEALTHY_S, HEALTHY_FRAMES = 10.0, 3


class View:
    """One camera's newest observation with a picture, and what to tell of it.

    Args:
        camera: Its name.
        parts: What runs.
        web: How large pictures are, and how many there are in a second.
        painter: One thread for all cameras. With images on each viewer's own, glibc's arenas kept
            12 MiB more for each: 182 MiB with six viewers, where this has 123.

    Attributes:
        camera: Its name.
        frames: So far.
        dropped: Frames replaced unseen so far, of a camera that was opened anew too.
        seen_s: Monotonic clock of the newest frame; `None` before the first.
        size_wh: Of the camera's frames, pixels.
        counts: Of the newest frame, as an observation has them.
        health: Of the camera; `None` without a self-check.
        events: The newest ones, without their paths.
        kept: The newest observation that brought a picture, and the model and the configuration
            that it is of.
        encoded: Pictures drawn so far.
    """

    def __init__(self, camera: str, parts: Parts, *, web: Web, painter: Executor) -> None:
        self.frames = self.dropped = self.encoded = 0
        self.seen_s: float | None = None
        self.size_wh = (0, 0)
        self.counts: dict[str, dict[str, int]] = {}
        self.health: Health | None = None
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.kept: tuple[Observation, Description, Config] | None = None
        self.camera = camera
        self._parts = parts
        self._picture_px, self._period_s = web.picture_px, 1 / web.rate_hz
        self._painter = painter
        self._changed = threading.Condition()
        self._number = 0
        self._kept_s = 0.0
        self._lost = 0
        # The capture that was asked for a picture, and what ends that.
        self._wished: tuple[CaptureThread[InputBuffer], Callable[[], object]] | None = None
        self._painting = threading.Lock()
        self._painted: dict[bool, tuple[int, bytes]] = {}

    def observe(self, observation: Observation) -> None:
        """Take a frame's observation; keep it if somebody waits for its picture."""
        self.frames += 1
        lost = observation.dropped_frames
        self.dropped += lost - self._lost if lost >= self._lost else lost
        self._lost = lost
        self.seen_s = time.monotonic()
        self.size_wh = observation.size_wh
        self.counts = observation.counts
        self.health = observation.health
        self.events.extend(replace(event, path=()) for event in observation.events)
        if observation.picture is None or self._wished is None:
            return
        own = replace(observation, result=observation.result.copy())
        kept = own, self._parts.model.description, self._parts.config
        with self._changed:
            self.kept = kept
            self._kept_s = self.seen_s
            self._number += 1
            self._end_wish()
            self._changed.notify_all()

    def trouble(self) -> str:
        """Return why the camera is not well, in a few words; nothing where its frames come out."""
        so_far = "yet"
        if self.seen_s is not None:
            age_s = time.monotonic() - self.seen_s
            if age_s <= self._patience_s():
                return ""
            so_far = f"for {age_s:.0f} s"
        capture = self._capture()
        away = ", the camera is away" if capture and capture.is_away else ""
        return f"{self.camera}: no frame has come out {so_far}{away}"

    def wish(self) -> None:
        """Ask for a picture of the next frame, and do not wait for it."""
        with self._changed:
            self._wish()

    def picture(
        self, after: int, *, timeout_s: float, zones: bool = True
    ) -> tuple[int, bytes] | None:
        """Wait for a newer picture than the one of a number, and have it drawn.

        Args:
            after: The number; 0 takes none that was there before.
            timeout_s: How long to wait.
            zones: Draw zones, lines and masks too.

        Returns:
            Its number, and a JPEG; `None` where none came.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            # One rate for all viewers together: who comes too soon gets the picture of the others.
            pause_s = self._kept_s + self._period_s - time.monotonic()
            # A service that began anew counts anew.
            after = min(after or self._number, self._number)
            if not self._changed.wait_for(lambda: self._number > after, min(pause_s, timeout_s)):
                self._wish()
                left_s = deadline_s - time.monotonic()
                self._changed.wait_for(lambda: self._number > after, left_s)
            number, kept = self._number, self.kept
        if kept is None or number <= after:
            return None
        with self._painting:
            if self._painted.get(zones, (0,))[0] < number:
                self.encoded += 1
                what = kept if zones else (*kept[:2], None)
                drawn = self._painter.submit(jpeg, *what, max_side_px=self._picture_px)
                self._painted[zones] = number, drawn.result()
            return self._painted[zones]

    def close(self) -> None:
        """Ask for nothing more."""
        with self._changed:
            self._end_wish()

    def _capture(self) -> CaptureThread[InputBuffer] | None:
        return next((each for each in self._parts.captures if each.camera == self.camera), None)

    def _patience_s(self) -> float:
        """Return how long no frame may come out; of a still scene `regions` leaves some out."""
        config = self._parts.config
        rates = [each.options.rate_hz for each in config.cameras if each.name == self.camera]
        period_s = max((1 / rate_hz for rate_hz in rates if rate_hz), default=0.0)
        sweep_s = config.regions.sweep_s if config.regions else 0.0
        return max(HEALTHY_S, HEALTHY_FRAMES * max(period_s, sweep_s))

    def _wish(self) -> None:
        # A camera that was opened anew has another one.
        capture = self._capture()
        if self._wished and self._wished[0] is not capture:
            self._end_wish()
        if capture and not self._wished:
            self._wished = capture, capture.want_picture(self._picture_px)

    def _end_wish(self) -> None:
        if self._wished:
            self._wished[1]()
            self._wished = None
