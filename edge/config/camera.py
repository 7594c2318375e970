"""The section `[camera]`: where frames come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edge.config.section import Name, Pixels, Section


class Camera(Section):
    """Where frames come from.

    Attributes:
        name: A level of every topic.
        source: `demo:`, `file:PATH`, `images:FOLDER` or `v4l2:DEVICE`.
        size_wh: Width and height to ask the source for, pixels; `None` takes its own.
        rate_hz: Frames a second to ask for; `None` takes the source's own.
        loop: Start a file again at its end.
        realtime: Give a file's frames at their own pace and drop what comes too late.
    """

    name: Name = "camera"
    source: str = "demo:"
    size_wh: tuple[Pixels, Pixels] | None = None
    rate_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    loop: bool = False
    realtime: bool | None = None
