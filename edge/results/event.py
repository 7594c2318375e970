"""Something that happened once, as the zones and tracks of a camera told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EventKind = Literal["appear", "disappear", "enter", "leave", "cross", "dwell"]


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
