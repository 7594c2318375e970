"""How a service goes, in a file of a tmpfs, for whoever has just updated it."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.parts import Parts
    from edge.service.life import Signs

log = logging.getLogger("edge.service")

NAME, EVERY_S = "health.json", 5.0


class HealthFile:
    """Written every 5 s as a whole; nowhere without systemd's ``RuntimeDirectory=``.

    Args:
        release: What runs, as it was installed; empty where it was not.
        clock: Monotonic, seconds.
    """

    def __init__(self, release: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._path = Path(folder) / NAME if folder else None
        self._release, self._clock = release, clock
        self._began_s, self._written_s = clock(), -EVERY_S

    def look(self, signs: Signs, parts: Parts) -> None:
        """Write what there is to be seen of a run, if it is time to."""
        now_s = self._clock()
        if self._path is None or now_s - self._written_s < EVERY_S:
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
