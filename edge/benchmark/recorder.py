"""A sink that passes results on to the real ones, and notes when each frame had been published."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from edge.results.observation import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.pipeline import Sink
    from edge.results.observation import Observation

PUBLISH, AGE, END_TO_END = "publish", "age", "end to end"
COLUMNS = (*STAGES, PUBLISH, AGE, END_TO_END)
INITIAL_FRAMES = 4096
NS_PER_MS = 1e6


class Recorder:
    """Keeps one row a frame; grows by doubling.

    Args:
        sinks: Told of each frame, in order; what they take is the stage `publish`.

    Attributes:
        frames: Published so far.
        dropped: Frames replaced unseen so far.
    """

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self.frames = 0
        self.dropped = 0
        self._sinks = tuple(sinks)
        self._rows_ms = np.empty((INITIAL_FRAMES, len(COLUMNS)), np.float32)
        self._published_ns = np.empty(INITIAL_FRAMES, np.int64)

    def publish(self, observation: Observation) -> None:
        """Pass the frame on, and note its times."""
        started_ns = time.monotonic_ns()
        for sink in self._sinks:
            sink.publish(observation)
        ended_ns = time.monotonic_ns()
        if self.frames == len(self._rows_ms):
            self._rows_ms = np.concatenate([self._rows_ms, np.empty_like(self._rows_ms)])
            self._published_ns = np.tile(self._published_ns, 2)
        publish_ms = (ended_ns - started_ns) / NS_PER_MS
        stage_ms = observation.stage_ms
        self._rows_ms[self.frames] = (
            *(stage_ms.get(stage, np.nan) for stage in STAGES),
            publish_ms,
            observation.age_ms,
            observation.age_ms + publish_ms,
        )
        self._published_ns[self.frames] = ended_ns
        self.dropped = observation.dropped_frames
        self.frames += 1

    def close(self, timeout_s: float) -> int:
        """Close the sinks; return how many results they could not deliver."""
        return sum(sink.close(timeout_s) for sink in self._sinks)

    @property
    def rows_ms(self) -> NDArray[np.float32]:
        """`(frames, len(COLUMNS))`, milliseconds; NaN for a stage that the model does not have."""
        return self._rows_ms[: self.frames]

    @property
    def published_s(self) -> NDArray[np.float64]:
        """`(frames,)`, monotonic clock, seconds."""
        return self._published_ns[: self.frames] / 1e9


def column(rows_ms: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """Return one column of `(N, len(COLUMNS))` rows."""
    return rows_ms[:, COLUMNS.index(name)].astype(np.float64)
