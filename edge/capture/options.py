"""What the user asks of a source; each row of the table of sources has its own model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from edge.record import Checks, Record

Pixels = Annotated[int, Meta(gt=0, le=16384)]


def _check_live(realtime: bool | None) -> None:  # noqa: FBT001 - of a table of checks
    if realtime is False:
        raise ValueError("a camera is always live; take realtime = false out")


class SourceOptions(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of any source, so that one may take another's place in a configuration.

    What a source gives otherwise than asked is logged, as with a camera that has no such size.

    Attributes:
        size_wh: Width and height to ask for, pixels; `None` takes the source's own, as a file
            always does.
        rate_hz: Frames a second to ask a camera for, or at which to give a file's; `None` takes
            the source's own, and of a file that is not `realtime` as many as are taken.
        loop: Start a file again at its end; a source without an end has no use for it.
        realtime: Give frames at their own pace and let late ones drop, or give each one as it is
            taken; `None` is the source's own way.
        rotate: Degrees clockwise to turn frames by, after what their file says of itself.
    """

    size_wh: tuple[Pixels, Pixels] | None = None
    rate_hz: Annotated[float, Meta(gt=0, le=1000)] | None = None
    loop: bool = False
    realtime: bool | None = None
    rotate: Literal[0, 90, 180, 270] = 0


class CameraOptions(SourceOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What may be asked of any camera."""

    checks: ClassVar[Checks] = {"realtime": _check_live}


class StreamOptions(CameraOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What may be asked of a camera of the network.

    Attributes:
        password_file: Holds the password of the URL's user on its first line; readable by its owner
            only.
    """

    password_file: Path | None = None


class V4l2Options(CameraOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What may be asked of a camera of the Linux video subsystem.

    Attributes:
        format: How frames come over the wire; `None` lets the size decide.
    """

    format: Literal["mjpg", "yuyv", "nv12", "grey"] | None = None


class PicameraOptions(CameraOptions, frozen=True, kw_only=True, omit_defaults=True):
    """What may be asked of a Raspberry Pi's own camera.

    Attributes:
        model_wh: Width and height of the frames that the model sees, pixels, made by the camera's
            own scaler; `None` takes `size_wh` at up to 640 pixels width. Pictures of what was seen
            have up to `size_wh`.
        controls: Of libcamera, by name: `{ ExposureTime = 8000, AfMode = "Continuous" }`.
        via: What reads it; `None` takes picamera2 where this Python can import it.
    """

    model_wh: tuple[Pixels, Pixels] | None = None
    controls: dict[str, bool | int | float | str | tuple[float, ...]] = field(default_factory=dict)
    via: Literal["picamera2", "rpicam-vid"] | None = None
