"""The section `[regions]`: where a model looks closer, and when not at all."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge.record import Record


class Regions(Record, frozen=True):
    """Crops around what moves; without the section every frame is seen whole, and no other way.

    Attributes:
        invokes_per_frame: Most invokes, in the mean over the frames of a camera.
        sweep_s: How often the whole frame is looked at, whether anything moves or not.
        still_s: How often a frame is told of that nothing looked at.
    """

    invokes_per_frame: Annotated[float, Meta(ge=0.05, le=8)] = 1.0
    sweep_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    still_s: Annotated[float, Meta(ge=0, le=5)] = 0.5
