"""What the pipeline hands to the sinks for each frame, what happened in it, and how it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    Cells = NDArray[np.float32]

EventKind = Literal["appear", "disappear", "enter", "leave", "cross", "dwell"]
HealthState = Literal["ok", "covered", "moved", "blurred", "dark", "frozen", "strange"]
# In their order; a model without boxes has nothing to suppress.
STAGES = ("capture", "preprocess", "invoke", "decode", "suppress")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one object; owns all that it holds.

    Attributes:
        id: Nobody else's, of any run.
        kind: What happened.
        camera: Name of the camera.
        label: Text of the object's class.
        track_id: Of the object, within this run of this camera.
        zone: Name of the zone or line; empty of `appear` and `disappear`.
        direction: Of `cross`: the line's word for the way; else empty.
        started_utc_ns: When the object was first seen, or came into the zone; UTC.
        ended_utc_ns: When it was over; `None` while it goes on.
        score: Best one of the object so far, in [0, 1].
        box: x1, y1, x2, y2 of the object at this moment, shares of the frame, half-open.
        path: Where it was, x and y in shares of the frame, oldest first; bounded.
        speed: Metres a second over the ground; `None` without a ground scale.
    """

    id: str
    kind: EventKind
    camera: str
    label: str
    track_id: int
    zone: str
    direction: str
    started_utc_ns: int
    ended_utc_ns: int | None
    score: float
    box: tuple[float, float, float, float]
    path: tuple[tuple[float, float], ...] = ()
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture is like; owns its arrays.

    Attributes:
        colour: Mean difference of G from R, and of G from B, in sum; near 0 of a grey picture.
        clipped_ratio: Share of its pixels that are black or white.
        fine: Mean size of the Laplacian of the small picture: detail and noise.
        coarse: Mean step between cells: shapes.
        cells: `(3, 24, 32)` float32, means of each cell: grey, and the size of the steps along x
            and along y.
        is_frozen: The camera gives the same picture over and over.
    """

    colour: float
    clipped_ratio: float
    fine: float
    coarse: float
    cells: Cells
    is_frozen: bool = False

    @property
    def level(self) -> float:
        """Mean of its grey, 0 to 255."""
        return float(self.cells[0].mean())


@dataclass(frozen=True, slots=True)
class Health:
    """What a camera's pictures are like, and since when.

    Attributes:
        state: `ok`, or the trouble.
        reason: A sentence without its full stop; empty where there is nothing to say.
        since_utc_ns: Nanoseconds since the Unix epoch, UTC, when the state began.
    """

    state: HealthState
    reason: str
    since_utc_ns: int


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
