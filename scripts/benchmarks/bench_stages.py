"""Time what follows decoding: tracking, zones and events of one frame, and the self-check."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.capture.look import Looker
from edge.capture.picture import Picture
from edge.config.reading import parse
from edge.config.sections import Tracking
from edge.config.selfcheck import Selfcheck
from edge.model.default import default_model_path
from edge.model.model_file import read
from edge.results.detections import Detections
from edge.results.observation import Observation
from edge.stages.selfcheck import SelfCheck
from edge.stages.tracking import Tracker
from edge.stages.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable

# Number of objects to the most microseconds, of tracking, zones and events together.
LIMITS_US = {0: float("inf"), 25: 150.0, 100: 500.0}
FRAMES, REPEATS = 300, 8
LABELS = ("person", "car", "dog")
# Two zones and a line in the way of a good part of them.
PLACES = {
    "zone": [
        {
            "name": "middle",
            "polygon": [[0.3, 0.3], [0.7, 0.25], [0.7, 0.7], [0.5, 0.8], [0.3, 0.7]],
            "dwell_s": 2,
        },
        {"name": "left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]},
    ],
    "line": {"name": "gate", "from": [0.5, 0], "to": [0.5, 1]},
    "events": {},
}
FRAME_NS = 33_333_333
SCORE = 0.5
NS, US_PER_S = 1_000_000_000, 1e6
# Of the self-check: frames a second to the most microseconds of a frame, in the mean.
LOOK_LIMITS_US = {5: 100.0, 10: 100.0, 30: 100.0}
LOOK_SECONDS, LOOK_REPEATS = 40, 3


def measure_tracking(*, timer: Callable[[], float]) -> list[tuple[str, float, float]]:
    """Return (name, microseconds of a frame, limit) for each number of objects; the least of some.

    They move, and a third of them is seen badly.
    Medians on a busy machine double from one run to the next.
    """
    config, rows = parse(PLACES), []
    for count, limit_us in LIMITS_US.items():
        frames = scene(count)
        times_s: dict[str, list[float]] = {"tracking": [], "tracking, zones and events": []}
        for _ in range(REPEATS):
            for name, repeats in times_s.items():
                stages = [Tracker(Tracking(), SCORE, {})]
                stages += [Zones(config, LABELS, {})] * (name != "tracking")
                started_s = timer()
                for frame in frames:
                    observation = frame
                    for stage in stages:
                        observation = stage.process(observation)
                repeats.append((timer() - started_s) / FRAMES)
        for name, repeats in times_s.items():
            limit = limit_us if name != "tracking" else float("inf")
            rows.append((f"{name}, {count} objects", min(repeats) * US_PER_S, limit))
    return rows


def scene(count: int) -> list[Observation]:
    """Return frames of 1280 x 720 in which so many boxes of three classes move."""
    rng = np.random.default_rng(count)
    centres, sides = rng.uniform(0, 1, (count, 2)) * (1280, 720), rng.uniform(30, 120, (count, 2))
    steps = rng.uniform(-1, 1, (count, 2))
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


def measure_looks(*, timer: Callable[[], float]) -> list[tuple[str, float, float]]:
    """Return (name, mean microseconds of a frame, limit) for each rate, after the learning.

    Looks at 720p frames, one a second, and what follows of them.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    heads = {
        "boxes": rng.integers(-128, 127, (1, 1917, 4), np.int8),
        "scores": rng.integers(-128, 127, (1, 1917, 91), np.int8),
    }
    rows = []
    first, *_ = scene(1)
    model = read(default_model_path()).description
    for rate_hz, limit_us in LOOK_LIMITS_US.items():
        times_s = []
        for _ in range(LOOK_REPEATS):
            looker, stage = Looker(), SelfCheck(Selfcheck(), model, {})
            started_s = timer()
            for number in range(LOOK_SECONDS * rate_hz):
                at_ns = number * NS // rate_hz
                look = looker.look(Picture(image, at_ns, 0, 0))
                if look:
                    seen = replace(first, source_ns=at_ns, look=look, heads=heads)
                stage.process(seen if look else first)
            times_s.append((timer() - started_s) / (LOOK_SECONDS * rate_hz))
        rows.append(
            (f"self-check at {rate_hz} frames/s", float(np.median(times_s)) * US_PER_S, limit_us)
        )
    return rows
