"""Time the self-check of a frame: looks at 720p frames, one a second, and what follows of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from bench_tracking import scene

from edge.capture.look import Looker
from edge.capture.picture import Picture
from edge.config.selfcheck import Selfcheck
from edge.model.default import default_model_path
from edge.model.model_file import read
from edge.stages.selfcheck import SelfCheck

if TYPE_CHECKING:
    from collections.abc import Callable

# Frames a second to the most microseconds of a frame, in the mean.
LIMITS_US = {5: 100.0, 10: 100.0, 30: 100.0}
SECONDS, REPEATS = 40, 3
NS, US_PER_S = 1_000_000_000, 1e6


def measure(*, timer: Callable[[], float]) -> list[tuple[str, float, float]]:
    """Return (name, mean microseconds of a frame, limit) for each rate, after the learning."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (720, 1280, 3), np.uint8)
    heads = {
        "boxes": rng.integers(-128, 127, (1, 1917, 4), np.int8),
        "scores": rng.integers(-128, 127, (1, 1917, 91), np.int8),
    }
    rows = []
    first, *_ = scene(1)
    model = read(default_model_path()).description
    for rate_hz, limit_us in LIMITS_US.items():
        times_s = []
        for _ in range(REPEATS):
            looker, stage = Looker(), SelfCheck(Selfcheck(), model, {})
            started_s = timer()
            for number in range(SECONDS * rate_hz):
                at_ns = number * NS // rate_hz
                look = looker.look(Picture(image, at_ns, 0, 0))
                if look:
                    seen = replace(first, source_ns=at_ns, look=look, heads=heads)
                stage.process(seen if look else first)
            times_s.append((timer() - started_s) / (SECONDS * rate_hz))
        rows.append(
            (f"self-check at {rate_hz} frames/s", float(np.median(times_s)) * US_PER_S, limit_us)
        )
    return rows
