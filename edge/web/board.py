"""What the board and this process need: heat, throttling, memory, CPU."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from edge.sensors import THROTTLE_FLAGS, Sensors, throttle_words
from edge.web.figures import Sample, family

# A Raspberry Pi's throttling may cost a process each time.
PERIOD_S = 5.0
BYTES_PER_MIB = 2**20


class Board:
    """Reads sensors when somebody asks, and not more often than every few seconds."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._read_s = -PERIOD_S
        self._sensors: Sensors | None = None

    def _read(self) -> None:
        with self._reading:
            now_s = time.monotonic()
            if now_s - self._read_s >= PERIOD_S:
                # Looking for sensors may cost a process too; a page that nobody opens pays nothing.
                self._sensors = self._sensors or Sensors()
                self._sample, self._read_s = self._sensors.read_all(now_s), now_s

    def state(self) -> dict[str, Any]:
        """Return it for the page; `None` where there is no such sensor."""
        self._read()
        bits = self._sample.throttled
        return {
            "temperature_c": self._sample.temperature_c,
            "throttled": None if bits is None else throttle_words(bits),
            "resident_mib": _resident_bytes() / BYTES_PER_MIB,
        }

    def lines(self) -> list[str]:
        """Return it in the text format of Prometheus."""
        self._read()
        degrees, bits = self._sample.temperature_c, self._sample.throttled
        heat: list[Sample] = [] if degrees is None else [({}, degrees)]
        flags = {} if bits is None else {text: bits & flag for flag, text in THROTTLE_FLAGS.items()}
        held = [({"reason": text}, bool(value)) for text, value in flags.items()]
        memory, cpu_s = _resident_bytes(), time.process_time()
        return [
            *family("edge_temperature_celsius", "Of the hottest zone.", heat),
            *family("edge_throttled", "Whether the board slows itself down now.", held),
            *family("process_resident_memory_bytes", "Resident memory.", [({}, memory)]),
            *family("process_cpu_seconds_total", "CPU time of all threads.", [({}, cpu_s)]),
        ]


def _resident_bytes() -> int:
    """Return what this process holds in memory. Source: proc(5), `statm`, the second number."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
