"""What the pipeline hands to the sinks for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.results.class_map import ClassMap
    from edge.results.detections import Detections

# In their order; a segmenter has nothing to suppress.
STAGES = ("capture", "preprocess", "invoke", "decode", "suppress")


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame's results. Everything in it is borrowed until the sink returns.

    Attributes:
        camera: Name of the camera.
        sequence: The frame's number within its source.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, when the frame was complete.
        size_wh: Of the source frame, pixels.
        result: What was seen, by a detector or a segmenter.
        stage_ms: Milliseconds of each stage that the model has, of `STAGES`.
        age_ms: From the frame's capture to now, when its result is ready.
        dropped_frames: Frames replaced unseen since the start.
    """

    camera: str
    sequence: int
    captured_utc_ns: int
    size_wh: tuple[int, int]
    result: Detections | ClassMap
    stage_ms: dict[str, float]
    age_ms: float
    dropped_frames: int
