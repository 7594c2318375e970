"""Signs of life: when a run is ready, how it goes, and that it still goes.

A thread of its own looks once a second at what the pipeline counts anyway, so that a frame costs
nothing here. It feeds systemd's watchdog only where a frame came out since its last look, or where
every camera is known to be away and the loop that waits for them still turns.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edge.messages.envelope import SCHEMA_VERSION, Message
from edge.service.notify import STOPPING, WELL, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.parts import Parts
    from edge.pipeline import Pipeline
    from edge.service.notify import Notifier

log = logging.getLogger("edge.service")

HEALTH_NAME, HEALTH_EVERY_S = "health.json", 5.0
# Until the first frame it looks more often: whoever waits for the service waits for that.
LOOK_EVERY_S, FIRST_LOOKS_S, STATUS_EVERY_S = 1.0, 0.05, 5.0
# The loop looks for a frame twice a second.
LOOP_S = 5.0
# A start is good when the run has lasted so long behind its first frame.
SOUND_S = 10.0
JOIN_TIMEOUT_S = 1.0


class HealthFile:
    """How a service goes, in a file of a tmpfs, for whoever has just updated it.

    Written every 5 s as a whole; nowhere without systemd's ``RuntimeDirectory=``.

    Args:
        release: What runs, as it was installed; empty where it was not.
        clock: Monotonic, seconds.
    """

    def __init__(self, release: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._path = Path(folder) / HEALTH_NAME if folder else None
        self._release, self._clock = release, clock
        self._began_s, self._written_s = clock(), -HEALTH_EVERY_S

    def look(self, signs: Signs, parts: Parts) -> None:
        """Write what there is to be seen of a run, if it is time to."""
        now_s = self._clock()
        if self._path is None or now_s - self._written_s < HEALTH_EVERY_S:
            return
        self._written_s = now_s
        publisher = parts.publisher
        outbox = publisher.outbox() if publisher else None
        sent = sum(each.published for each in publisher.frames.values()) if publisher else 0
        broker = {None: None, True: "connected", False: "away"}[signs.is_connected]
        fields = {
            "frames": signs.frames,
            "published": sent,
            "acknowledged": outbox.settled if outbox else 0,
            "broker": broker,
            "since_start_s": round(now_s - self._began_s, 1),
            "release": self._release,
        }
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(fields), encoding="ascii")
            new.replace(self._path)
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._path, error.strerror)
            self._path = None


class Signs(NamedTuple):
    """What there is to be seen of a run.

    Attributes:
        frames: That came out so far.
        polled_s: When the loop last looked for one, on the monotonic clock.
        cameras: How many there are that have not ended.
        away: Those that are known to be away, by name.
        is_connected: Whether the broker has us; `None` without one.
    """

    frames: int
    polled_s: float
    cameras: int
    away: tuple[str, ...] = ()
    is_connected: bool | None = None


class Life:
    """Tells a service manager of one run.

    Args:
        notifier: How it is told.
        on_sound: Called once the start has proved good.
        health: Keeps a file of how it goes.
        clock: Monotonic, seconds.

    Attributes:
        is_sound: Whether it has.
    """

    def __init__(
        self,
        notifier: Notifier,
        *,
        on_sound: Callable[[], object] = lambda: None,
        health: HealthFile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._on_sound = on_sound
        self._health = health
        self._clock = clock
        self._ready_s = self._alive_s = -1.0
        self.is_sound = self._is_told = False
        self._frames = 0
        self._status_at = (clock(), 0)
        self._text = ""
        self._ended = threading.Event()

    @contextmanager
    def watching(self, parts: Parts, pipeline: Pipeline) -> Iterator[None]:
        """Tell of a pipeline for the length of the block."""
        publisher, device = parts.publisher, parts.config.device.name

        def run() -> None:
            while not self._ended.wait(LOOK_EVERY_S if self.is_ready else FIRST_LOOKS_S):
                was_ready = self.is_ready
                signs = signs_of(parts, pipeline)
                self.look(signs)
                if self._health:
                    self._health.look(signs, parts)
                if publisher and self.is_ready > was_ready:
                    publisher.send(mode_message(device, "normal"))

        thread = threading.Thread(target=run, name="edge-service", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._notifier.tell(STOPPING, status("stopping"))
            self._ended.set()
            thread.join(JOIN_TIMEOUT_S)

    @property
    def is_ready(self) -> bool:
        """Whether the manager was told that the start is over."""
        return self._ready_s >= 0

    def look(self, signs: Signs) -> None:
        """Tell the manager what these signs mean."""
        now_s = self._clock()
        waits = len(signs.away) == signs.cameras and now_s - signs.polled_s < LOOP_S
        if signs.frames > self._frames or waits:
            self._frames, self._alive_s, self._is_told = signs.frames, now_s, False
            self._notifier.tell(WELL)
            if not self.is_ready:
                self._ready_s, self._text = now_s, _text(signs, 0.0)
                self._notifier.ready(self._text)
            elif not self.is_sound and now_s - self._ready_s >= SOUND_S:
                self.is_sound = True
                self._on_sound()
        elif self.is_ready:
            self._warn(now_s - self._alive_s)
        since_s, before = self._status_at
        if self.is_ready and (passed_s := now_s - since_s) >= STATUS_EVERY_S:
            self._status_at = now_s, signs.frames
            self._text = _text(signs, (signs.frames - before) / passed_s)
            self._notifier.tell(status(self._text))

    def reloading(self) -> None:
        """Say that a reload has begun; safe in a signal's handler."""
        self._notifier.reloading()

    def reloaded(self) -> None:
        """Say that it is over; before the first frame the start is not."""
        if self.is_ready:
            self._notifier.ready(self._text)

    def _warn(self, silent_s: float) -> None:
        if 0 < self._notifier.watchdog_s / 2 < silent_s and not self._is_told:
            self._is_told = True
            log.warning(
                "no frame has come out for %.0f s, and no camera is known to be away: at %.0f s "
                "the watchdog ends this process, to be started anew",
                *(silent_s, self._notifier.watchdog_s),
            )


def signs_of(parts: Parts, pipeline: Pipeline) -> Signs:
    """Return what there is to be seen of a run now."""
    cameras = [capture for capture in parts.captures if not capture.ended]
    return Signs(
        frames=pipeline.times.frames,
        polled_s=parts.cameras.frames.polled_s,
        cameras=len(cameras),
        away=tuple(capture.camera for capture in cameras if capture.is_away),
        is_connected=parts.publisher.is_connected if parts.publisher else None,
    )


def mode_message(device: str, mode: str, **more: object) -> Message:
    """Return whether a device is at its work, kept by the broker for who asks later.

    Args:
        device: Its name.
        mode: `normal`, or `safe`.
        more: What else is to be said of it.
    """
    fields = {"schema_version": SCHEMA_VERSION, "device": device, "mode": mode, **more}
    payload = msgspec.json.encode(fields)
    return Message(f"edge/{device}/mode", payload, retain=True, policy="state")


def _text(signs: Signs, rate_hz: float) -> str:
    given = signs.cameras - len(signs.away)
    text = f"{rate_hz:.1f} frames/s from {given} of {signs.cameras} cameras"
    text += f" (away: {', '.join(signs.away)})" if signs.away else ""
    broker = {None: "", True: "; broker connected", False: "; broker away"}
    return text + broker[signs.is_connected]
