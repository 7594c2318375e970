"""What the pipeline hands to the sinks for each frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.results.event import Event
    from edge.results.health import Health, Look

# In their order; a model without boxes has nothing to suppress.
STAGES = ("capture", "preprocess", "invoke", "decode", "suppress")


class Result(Protocol):
    """What a model saw on one frame; perhaps in views of a decoder's buffers."""

    def copy(self) -> Self:
        """Return the same in arrays of its own."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One frame's results. Everything in it is borrowed until the sink returns.

    Attributes:
        camera: Name of the camera.
        sequence: The frame's number within its source.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, when the frame was complete.
        source_ns: Nanoseconds of the source's own clock, as of `Picture.source_ns`.
        size_wh: Of the source frame, pixels.
        result: What was seen, of the kind that the model's task has.
        stage_ms: Milliseconds of each stage that was timed, in their order.
        age_ms: From the frame's capture to now, when its result is ready.
        dropped_frames: Frames of this camera replaced unseen since the start.
        picture: `(h, w, 3)` uint8, B G R, the frame reduced, the receiver's to keep; `None` unless
            somebody has asked for pictures.
        events: What happened on this frame, in order.
        counts: How many objects of each label are in each zone; zone `""` is the whole frame.
        health: Of the camera; `None` without a self-check.
        look: What the picture is like; `None` unless it was looked at, for a self-check.
        heads: The raw outputs that the result was decoded from, by role.
    """

    camera: str
    sequence: int
    captured_utc_ns: int
    source_ns: int
    size_wh: tuple[int, int]
    result: Result
    stage_ms: dict[str, float]
    age_ms: float
    dropped_frames: int
    picture: NDArray[np.uint8] | None = None
    events: tuple[Event, ...] = ()
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    health: Health | None = None
    look: Look | None = None
    heads: Mapping[str, NDArray[Any]] = field(default_factory=dict)
