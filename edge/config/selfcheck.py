"""The sections `[selfcheck]` and `[harvest]` of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from edge.record import PositiveInt, Ratio, Record

Fault = Literal["covered", "moved", "blurred", "dark", "frozen", "strange"]


class Selfcheck(Record, frozen=True):
    """How it is told whether the cameras see as they should; without the section it is not.

    Attributes:
        hold_s: How long a picture must look wrong before that is told, and right again.
        ignore: States that are never told, such as `moved` of a camera that turns.
    """

    hold_s: Annotated[float, Meta(ge=5, le=3600)] = 15.0
    ignore: tuple[Fault, ...] = ()


class Harvest(Record, frozen=True):
    """Which frames are kept on the device's own disk, to calibrate with later.

    Attributes:
        folder: `None` is `harvest` in the folder of the device's state.
        max_mib: Most that all files take; the oldest make room.
        per_day: Most frames a day (UTC), of all cameras.
        baseline_ratio: Share of them that is kept whatever they show, evenly over the day.
        margin: Scores that are less above the threshold are uncertain.
        exclude: No frame that shows one of these labels is kept.
        max_side_px: Of the longer side of a kept image.
    """

    folder: Path | None = None
    max_mib: PositiveInt = 200
    per_day: Annotated[int, Meta(gt=0, le=10_000)] = 50
    baseline_ratio: Ratio = 0.2
    margin: Ratio = 0.1
    exclude: tuple[str, ...] = ("person",)
    max_side_px: Annotated[int, Meta(ge=64, le=4096)] = 1280
