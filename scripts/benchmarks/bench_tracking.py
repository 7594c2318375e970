"""Time the tracking of one frame: so many objects that move, a third of them seen badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.config.sections import Tracking
from edge.results.detections import Detections
from edge.results.observation import Observation
from edge.stages.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

# Number of objects to the most microseconds.
LIMITS_US = {0: float("inf"), 25: 150.0, 100: 500.0}
FRAMES, REPEATS = 60, 15
FRAME_NS = 33_333_333
SCORE = 0.5
US_PER_S = 1e6


def measure(*, timer: Callable[[], float]) -> list[tuple[str, float, float]]:
    """Return (name, median microseconds of a frame, limit) for each number of objects."""
    rows = []
    for count, limit_us in LIMITS_US.items():
        frames = scene(count)
        times_s = []
        for _ in range(REPEATS):
            stage = Tracker(Tracking(), SCORE, {})
            started_s = timer()
            for frame in frames:
                stage.process(frame)
            times_s.append((timer() - started_s) / FRAMES)
        rows.append((f"tracking, {count} objects", float(np.median(times_s)) * US_PER_S, limit_us))
    return rows


def scene(count: int) -> list[Observation]:
    """Return frames of 1280 x 720 in which so many boxes of three classes move."""
    rng = np.random.default_rng(count)
    centres, sides = rng.uniform(0, 1, (count, 2)) * (1280, 720), rng.uniform(30, 120, (count, 2))
    steps = rng.uniform(-2, 2, (count, 2))
    frames = []
    for number in range(FRAMES):
        at = centres + number * steps + rng.normal(0, 1, (count, 2))
        boxes = np.hstack([at - sides / 2, at + sides / 2]).astype(np.float32)
        scores = rng.uniform(0.25, 1, count).astype(np.float32)
        order = (-scores).argsort()
        class_ids = (np.arange(count, dtype=np.int32) % 3)[order]
        frames.append(
            Observation(
                camera="camera",
                sequence=number,
                captured_utc_ns=0,
                source_ns=number * FRAME_NS,
                size_wh=(1280, 720),
                result=Detections(boxes[order], scores[order], class_ids),
                stage_ms={},
                age_ms=0.0,
                dropped_frames=0,
            )
        )
    return frames
