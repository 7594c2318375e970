"""How a run goes, told every so often: rates, times, memory, heat."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.messages.envelope import MS_DECIMALS
from edge.messages.stats import DECIMALS, PERCENTILE_NAMES, message
from edge.sensors import NOW_MASK, Sensors, throttle_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.frame import Summary
    from edge.messages.envelope import Message
    from edge.publisher import FrameTally, Publisher

STATM = Path("/proc/self/statm")
JOIN_S = 5.0
# So soon it is seen that somebody wants it.
IDLE_S = 10.0
MIB = 1024 * 1024


class _Moment(NamedTuple):
    """What was counted up to a moment; seconds."""

    at_s: float
    cpu_s: float
    frames: dict[str, FrameTally]


class Stats:
    """Tells how a run goes, on the thread `edge-stats`, while its `with` lasts.

    A frame costs it nothing: it reads what the publisher and the pipeline count anyway. Sensors are
    looked for when they are first read.

    Args:
        publisher: Counts frames, and takes the messages.
        summary: Of the pipeline that runs; `None` where none does yet.
        period_s: Between two messages, asked before each; 0 for none.
        sensors: Of the board; `None` finds them.
    """

    def __init__(
        self,
        publisher: Publisher,
        summary: Callable[[], Summary | None],
        *,
        period_s: Callable[[], float],
        sensors: Sensors | None = None,
    ) -> None:
        self._publisher = publisher
        self._summary = summary
        self._period_s = period_s
        self._sensors = sensors
        self._began_s = time.monotonic()
        self._before = self._now()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-stats", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(JOIN_S)

    def message(self) -> Message:
        """Return what happened since the last call; some milliseconds, and more with `vcgencmd`."""
        before, self._before = self._before, self._now()
        window_s = max(1e-3, self._before.at_s - before.at_s)
        cpu_ratio = (self._before.cpu_s - before.cpu_s) / window_s
        outbox = self._publisher.outbox()
        fields = {
            "uptime_s": round(self._before.at_s - self._began_s, DECIMALS),
            "window_s": round(window_s, DECIMALS),
            "cameras": {
                name: _rates(tally, before.frames.get(name), window_s)
                for name, tally in self._before.frames.items()
            },
            "stage_ms": self._stages(),
            "outbox": outbox
            and {"waiting": outbox.waiting, "dropped": outbox.dropped, "delivered": outbox.settled},
            "rss_mib": resident_mib(),
            "cpu_percent": round(100 * cpu_ratio, DECIMALS),
            **self._heat(),
        }
        return message(self._publisher.encoder.device, fields, utc_ns=time.time_ns())

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s() or IDLE_S):
            if self._period_s():
                self._publisher.send(self.message())

    def _now(self) -> _Moment:
        # Copied: the decoding thread counts on.
        frames = {name: replace(tally) for name, tally in tuple(self._publisher.frames.items())}
        return _Moment(time.monotonic(), time.process_time(), frames)

    def _stages(self) -> dict[str, dict[str, float]]:
        summary = self._summary()
        return {
            stage: dict(zip(PERCENTILE_NAMES, [round(ms, MS_DECIMALS) for ms in ms3], strict=True))
            for stage, ms3 in (summary.percentiles_ms.items() if summary else ())
        }

    def _heat(self) -> dict[str, Any]:
        self._sensors = self._sensors or Sensors()
        sample = self._sensors.read_all(0.0, power=False)
        bits, degrees = sample.throttled, sample.temperature_c
        return {
            "temperature_c": None if degrees is None else round(degrees, DECIMALS),
            "throttled": None if bits is None else bool(bits & NOW_MASK),
            "throttle_flags": throttle_words(bits or 0),
        }


def _rates(tally: FrameTally, before: FrameTally | None, window_s: float) -> dict[str, float | int]:
    """Return the rates of a camera; one that was opened anew counts from 0."""
    rates = {}
    for name in ("captured", "invoked", "published"):
        new = getattr(tally, name) - (getattr(before, name) if before else 0)
        rates[f"{name}_hz"] = round(max(0, new) / window_s, DECIMALS)
    return {**rates, "dropped_frames": tally.dropped}


def resident_mib() -> float | None:
    """Return the second field of `statm`, which is in pages; `None` where there is no such file."""
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / MIB, DECIMALS)
