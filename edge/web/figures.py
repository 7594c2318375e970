"""What monitors read: the text format of Prometheus, and the counts behind it.

Source: Prometheus, "Exposition formats", text-based, version 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.results.observation import Observation

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper bounds, milliseconds: from a cheap stage of a fast board to an invoke of a slow one.
BOUNDS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
AGE = "age"

Labels = dict[str, str]
Sample = tuple[Labels, float]


class Histogram:
    """Counts times by the bound below which they are; one thread adds."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def add(self, value_ms: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_MS, value_ms)] += 1
        self.sum_ms += value_ms


class Counts:
    """The times of each stage of each camera since the start, and how many events of each kind."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], Histogram] = {}
        self._events: dict[tuple[str, str], int] = {}

    def add(self, observation: Observation) -> None:
        """Count one frame."""
        camera, times = observation.camera, self._times
        for stage, value_ms in observation.stage_ms.items():
            histogram = times.get((camera, stage))
            if histogram is None:
                histogram = times[camera, stage] = Histogram()
            histogram.add(value_ms)
        times.setdefault((camera, AGE), Histogram()).add(observation.age_ms)
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
            for (camera, stage), histogram in times:
                if (stage == AGE) == is_age:
                    labels = {"camera": camera} | ({} if is_age else {"stage": stage})
                    found += _histogram(name, labels, histogram)
        return found + family(
            "edge_events_total",
            "Events so far.",
            [({"camera": c, "kind": k}, n) for (c, k), n in tuple(self._events.items())],
        )


def family(name: str, text: str, samples: Iterable[Sample], *, kind: str = "") -> list[str]:
    """Return one metric in the text format; nothing of one without samples.

    Args:
        name: With its unit; a counter's ends in `_total`.
        text: What it is.
        samples: Labels and value of each.
        kind: By default `counter` or `gauge`, as the name says.
    """
    rows = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
    kind = kind or ("counter" if name.endswith("_total") else "gauge")
    return [*_head(name, text, kind), *rows] if rows else []


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(name: str, labels: Labels, histogram: Histogram) -> list[str]:
    rows, below = [], 0
    counts, sum_ms = tuple(histogram.counts), histogram.sum_ms
    for bound_ms, count in zip((*BOUNDS_MS, float("inf")), counts, strict=True):
        below += count
        bound = _number(bound_ms / 1e3)
        rows.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {below}")
    total = _labels(labels)
    return [*rows, f"{name}_sum{total} {_number(sum_ms / 1e3)}", f"{name}_count{total} {below}"]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else format(value, ".6g")
