"""The section `[snapshots]`: the best image of each kind of object, kept by the broker."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge.record import Ratio, Record, Text

SidePx = Annotated[int, Meta(ge=64, le=4096)]


class Snapshots(Record, frozen=True):
    """What is taken of whom; without the section nothing is, unless somebody asks for one.

    Attributes:
        labels: Of which objects; `None` are all that the model knows.
        crop: The object, or else the whole frame.
        margin_ratio: Around the object, of its width and height, at each side.
        picture_px: Longer side of the frame that it is cut from.
        max_side_px: Longer side of the image.
        max_kib: Largest JPEG; its quality falls until it fits, and then its size.
        every_s: Least time between two of a label and camera.
    """

    labels: Annotated[tuple[Text, ...], Meta(min_length=1)] | None = None
    crop: bool = True
    margin_ratio: Ratio = 0.15
    picture_px: SidePx = 1280
    max_side_px: SidePx = 640
    max_kib: Annotated[int, Meta(ge=4, le=4096)] = 100
    every_s: Annotated[float, Meta(ge=0.5, le=86_400)] = 10.0
