"""What monitors read: the text format of Prometheus, the counts and the board's state behind it.

Source: Prometheus, "Exposition formats", text-based, version 0.0.4.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from edge.sensors import THROTTLE_FLAGS, Sensors, throttle_words
from edge.stats import resident_mib

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.results.observation import Observation

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper bounds, milliseconds: from a cheap stage of a fast board to an invoke of a slow one.
BOUNDS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
AGE = "age"
# A Raspberry Pi's throttling may cost a process each time that it is read.
PERIOD_S = 5.0
BYTES_PER_MIB = 2**20

Labels = dict[str, str]
Sample = tuple[Labels, float]


class Counts:
    """The times of each stage of each camera since the start, and how many events of each kind.

    One thread counts. Of times it keeps how many were up to each bound, and their sum.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[float]] = {}
        self._events: dict[tuple[str, str], int] = {}

    def add(self, observation: Observation) -> None:
        """Count one frame."""
        camera = observation.camera
        for stage, value_ms in (*observation.stage_ms.items(), (AGE, observation.age_ms)):
            if not value_ms:  # not run: the frame repeats what was seen
                continue
            row = self._times.get((camera, stage))
            if row is None:
                row = self._times[camera, stage] = [0.0] * (len(BOUNDS_MS) + 2)
            row[bisect_left(BOUNDS_MS, value_ms)] += 1
            row[-1] += value_ms
        for event in observation.events:
            key = camera, event.kind
            self._events[key] = self._events.get(key, 0) + 1

    def lines(self) -> list[str]:
        """Return them in the text format; the thread that counts goes on meanwhile."""
        found, times = [], tuple(self._times.items())
        for name, text, is_age in (
            ("edge_stage_seconds", "What a stage took for a frame.", False),
            ("edge_frame_age_seconds", "From a frame's capture to its result.", True),
        ):
            found += _head(name, text, "histogram")
            for (camera, stage), row in times:
                if (stage == AGE) == is_age:
                    labels = {"camera": camera} | ({} if is_age else {"stage": stage})
                    found += _histogram(name, labels, tuple(row))
        return found + family(
            "edge_events_total",
            "Events so far.",
            [({"camera": c, "kind": k}, n) for (c, k), n in tuple(self._events.items())],
        )


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
            "resident_mib": resident_mib(),
        }

    def lines(self) -> list[str]:
        """Return it in the text format of Prometheus."""
        self._read()
        degrees, bits = self._sample.temperature_c, self._sample.throttled
        heat: list[Sample] = [] if degrees is None else [({}, degrees)]
        flags = {} if bits is None else {text: bits & flag for flag, text in THROTTLE_FLAGS.items()}
        held = [({"reason": text}, bool(value)) for text, value in flags.items()]
        memory, cpu_s = (resident_mib() or 0) * BYTES_PER_MIB, time.process_time()
        return [
            *family("edge_temperature_celsius", "Of the hottest zone.", heat),
            *family("edge_throttled", "Whether the board slows itself down now.", held),
            *family("process_resident_memory_bytes", "Resident memory.", [({}, memory)]),
            *family("process_cpu_seconds_total", "CPU time of all threads.", [({}, cpu_s)]),
        ]


def family(name: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """Return one metric in the text format; nothing of one without samples.

    Args:
        name: With its unit; a counter's ends in `_total`, any other is a gauge's.
        text: What it is.
        samples: Labels and value of each.
    """
    rows = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    kind = "counter" if name.endswith("_total") else "gauge"
    return [*_head(name, text, kind), *rows] if rows else []


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(name: str, labels: Labels, row: tuple[float, ...]) -> list[str]:
    *counts, sum_ms = row
    total, lines = _labels(labels), []
    for bound_ms, below in zip((*BOUNDS_MS, float("inf")), accumulate(counts), strict=True):
        bound = _number(bound_ms / 1e3)
        lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {_number(below)}")
    of_all = _number(sum(counts))
    return [*lines, f"{name}_sum{total} {_number(sum_ms / 1e3)}", f"{name}_count{total} {of_all}"]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    # All digits: of a sum over a week the last ones are what a rate is made of.
    return str(int(value)) if value == int(value) else repr(float(value))
