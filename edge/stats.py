"""How a run goes, told every so often: rates, times, memory, heat."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.messages.stats import (
    HZ_DECIMALS,
    MIB_DECIMALS,
    MS_DECIMALS,
    PERCENT_DECIMALS,
    PERCENTILE_NAMES,
    SECONDS_DECIMALS,
    TEMPERATURE_DECIMALS,
    message,
)
from edge.sensors import NOW_MASK, Sensors, throttle_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.messages.envelope import Message
    from edge.metrics import Summary
    from edge.publisher import FrameTally, Publisher

STATM = Path("/proc/self/statm")
JOIN_S = 5.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Moment:
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
        period_s: Between two messages.
        sensors: Of the board; `None` finds them.
    """

    def __init__(
        self,
        publisher: Publisher,
        summary: Callable[[], Summary | None],
        *,
        period_s: float,
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
        cameras = {
            name: _rates(tally, before.frames.get(name), window_s)
            for name, tally in self._before.frames.items()
        }
        fields = {
            "uptime_s": round(self._before.at_s - self._began_s, SECONDS_DECIMALS),
            "window_s": round(window_s, SECONDS_DECIMALS),
            "cameras": cameras,
            "stage_ms": self._stages(),
            "outbox": self._outbox(),
            "rss_mib": _resident_mib(),
            "cpu_percent": round(
                100 * (self._before.cpu_s - before.cpu_s) / window_s, PERCENT_DECIMALS
            ),
            **self._heat(),
        }
        return message(self._publisher.encoder.device, fields, utc_ns=time.time_ns())

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self._publisher.send(self.message())

    def _now(self) -> _Moment:
        # Copied: the decoding thread counts on.
        frames = {name: replace(tally) for name, tally in tuple(self._publisher.frames.items())}
        return _Moment(time.monotonic(), time.process_time(), frames)

    def _stages(self) -> dict[str, dict[str, float]]:
        summary = self._summary()
        return {
            stage: {
                name: round(ms, MS_DECIMALS)
                for name, ms in zip(PERCENTILE_NAMES, times_ms, strict=True)
            }
            for stage, times_ms in (summary.percentiles_ms.items() if summary else ())
        }

    def _outbox(self) -> dict[str, int] | None:
        tally = self._publisher.outbox()
        if tally is None:
            return None
        return {"waiting": tally.waiting, "dropped": tally.dropped, "delivered": tally.settled}

    def _heat(self) -> dict[str, Any]:
        self._sensors = self._sensors or Sensors()
        sample = self._sensors.read_all(0.0)
        bits, degrees = sample.throttled, sample.temperature_c
        return {
            "temperature_c": None if degrees is None else round(degrees, TEMPERATURE_DECIMALS),
            "throttled": None if bits is None else bool(bits & NOW_MASK),
            "throttle_flags": throttle_words(bits or 0),
        }


def _rates(tally: FrameTally, before: FrameTally | None, window_s: float) -> dict[str, float | int]:
    """Return the rates of a camera; one that was opened anew counts from 0."""
    rates = {}
    for name in ("captured", "invoked", "published"):
        new = getattr(tally, name) - (getattr(before, name) if before else 0)
        rates[f"{name}_hz"] = round(max(0, new) / window_s, HZ_DECIMALS)
    return {**rates, "dropped_frames": tally.dropped}


def _resident_mib() -> float | None:
    """Return the second field of `statm`, which is in pages; `None` where there is no such file."""
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / MIB, MIB_DECIMALS)
