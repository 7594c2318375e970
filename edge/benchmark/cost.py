"""What measuring costs: the rows that are noted of each frame, and a look at the sensors."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge.benchmark.recorder import Recorder
from edge.benchmark.result import Instrumentation
from edge.metrics import StageTimes
from edge.results.detections import Detections
from edge.results.observation import STAGES, Observation

if TYPE_CHECKING:
    from edge.benchmark.sensors import Sensors

# Under the recorder's first buffer, which is grown between windows' frames seldom enough.
FRAMES = 2000
LOOKS = 20
# What a frame takes on a fast board; an instrument may take 1 % of it.
FRAME_MS = 7.0


def measure(sensors: Sensors) -> Instrumentation:
    """Time what is added to each frame, and one look at the sensors' files, on this machine."""
    observation = Observation(
        camera="camera",
        sequence=0,
        captured_utc_ns=0,
        size_wh=(1280, 720),
        result=Detections.none(),
        stage_ms=dict.fromkeys(STAGES, 1.0),
        age_ms=1.0,
        dropped_frames=0,
    )
    times, recorder = StageTimes(), Recorder()
    times.start()
    started_ns = time.perf_counter_ns()
    for _ in range(FRAMES):
        # Of the pipeline's own: six clocks, the stages by name, and its table.
        for _ in range(len(STAGES) + 1):
            time.monotonic_ns()
        times.add(observation)
        recorder.publish(observation)
    frame_us = (time.perf_counter_ns() - started_ns) / 1e3 / FRAMES
    started_ns = time.perf_counter_ns()
    for _ in range(LOOKS):
        sensors.read(0.0)
    sensors_us = (time.perf_counter_ns() - started_ns) / 1e3 / LOOKS
    return Instrumentation(frame_us=frame_us, sensors_us=sensors_us)


def share_of(instrumentation: Instrumentation, frame_ms: float = FRAME_MS) -> float:
    """Return the part of a frame's time that measuring takes, sensors looked at every second."""
    return instrumentation.frame_us / 1e3 / frame_ms + instrumentation.sensors_us / 1e6
