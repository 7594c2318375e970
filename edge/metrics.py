"""Times of the pipeline's stages: a bounded window of them, and their percentiles."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.results.class_map import ClassMap
from edge.results.detections import Detections
from edge.results.observation import STAGES

if TYPE_CHECKING:
    from edge.results.observation import Observation

# The window's last frames; 4,096 float32 of 6 columns are 96 KiB and 30 s at 136 frames/s.
WINDOW_FRAMES = 4096
COLUMNS = (*STAGES, "age")
PERCENTILES = (50.0, 95.0, 99.0)
MAX_CLASSES = 256  # a class map is uint8


@dataclass(frozen=True, slots=True)
class Summary:
    """A run so far.

    Attributes:
        frames: Frames decoded.
        elapsed_s: From the first frame taken to the last one decoded, seconds.
        percentiles_ms: Column of `COLUMNS` that the model has to (p50, p95, p99), milliseconds,
            over the last `WINDOW_FRAMES` frames.
        invoke_ratio: Share of the elapsed time that the interpreter was at work.
        detections: Detections in all frames.
        area_ratios: Mean share of the frame that each class id covers; of a segmenter only.
    """

    frames: int
    elapsed_s: float
    percentiles_ms: dict[str, tuple[float, float, float]]
    invoke_ratio: float
    detections: int
    area_ratios: tuple[float, ...] = ()

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0


class StageTimes:
    """Collects one row a frame in buffers made once; one thread writes."""

    def __init__(self) -> None:
        self._window_ms = np.zeros((WINDOW_FRAMES, len(COLUMNS)), np.float32)
        self._frames = 0
        self._detections = 0
        self._areas = np.zeros(MAX_CLASSES)
        self._invoke_ms = 0.0
        self._started_ns = 0
        self._ended_ns = 0

    def start(self) -> None:
        """Begin the elapsed time; called when the first frame is taken."""
        self._started_ns = self._ended_ns = time.monotonic_ns()

    def add(self, observation: Observation) -> None:
        """Count one frame."""
        row = self._window_ms[self._frames % WINDOW_FRAMES]
        for column, stage in enumerate(STAGES):
            row[column] = observation.stage_ms.get(stage, np.nan)
        row[-1] = observation.age_ms
        self._invoke_ms += observation.stage_ms["invoke"]
        self._frames += 1
        if isinstance(observation.result, Detections):
            self._detections += len(observation.result)
        elif isinstance(observation.result, ClassMap):
            self._areas += observation.result.area_ratios(MAX_CLASSES)
        self._ended_ns = time.monotonic_ns()

    def summary(self) -> Summary:
        """Return the figures so far."""
        rows = self._window_ms[: min(self._frames, WINDOW_FRAMES)]
        elapsed_s = (self._ended_ns - self._started_ns) / 1e9
        percentiles: dict[str, tuple[float, float, float]] = {}
        for column, name in enumerate(COLUMNS):
            if np.isnan(rows[:, column]).any():
                continue
            values = np.percentile(rows[:, column], PERCENTILES) if len(rows) else (0.0, 0.0, 0.0)
            p50, p95, p99 = (float(value) for value in values)
            percentiles[name] = (p50, p95, p99)
        return Summary(
            frames=self._frames,
            elapsed_s=elapsed_s,
            percentiles_ms=percentiles,
            invoke_ratio=self._invoke_ms / 1e3 / elapsed_s if elapsed_s else 0.0,
            detections=self._detections,
            area_ratios=tuple((self._areas / self._frames).tolist()) if self._areas.any() else (),
        )
