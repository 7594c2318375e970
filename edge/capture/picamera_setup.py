"""How a camera is set up through picamera2, and what of that it really did."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edge.capture.options import SourceOptions
from edge.capture.rpicam import HALF_TURN
from edge.capture.source import differences, log_once
from edge.errors import SourceError

if TYPE_CHECKING:
    from edge.capture.options import PicameraOptions
    from edge.capture.picture import PixelFormat

DEFAULT_SIZE_WH = (1280, 720)
# Of the frames that the model sees: models of this field want 300 to 640 pixels.
MODEL_WIDTH_PX = 640
# One with the model, one for a picture of it, two for the camera to write in turn.
BUFFERS = 4
US_PER_S = 1_000_000
# libcamera's formats, and what they are here: its RGB888 is B, G, R in memory.
FORMATS: dict[str, PixelFormat] = {
    "YUV420": "i420",
    "NV12": "nv12",
    "YUYV": "yuyv",
    "RGB888": "bgr",
}


def configured(
    camera: Any,  # noqa: ANN401 - a package without types
    options: PicameraOptions,
    *,
    name: str,
) -> dict[str, PixelFormat]:
    """Set a camera up and start it; log what it gives otherwise, as it does that without a word.

    Args:
        camera: A `Picamera2`.
        options: What to ask for.
        name: Of the source, for messages.

    Returns:
        The format of each of its streams; the last one is what the model sees.

    Raises:
        SourceError: It cannot give what was asked for.
    """
    main_wh = options.size_wh or DEFAULT_SIZE_WH
    model_wh = options.model_wh or reduced_wh(main_wh)
    asked_wh = {"main": main_wh} | ({} if model_wh == main_wh else {"lores": model_wh})
    is_turned = int(options.rotate == HALF_TURN)
    asked = {
        "transform": _libcamera().Transform(hflip=is_turned, vflip=is_turned),
        # ITU-R BT.601, video range; picamera2's own choice goes by the size.
        "colour_space": _libcamera().ColorSpace.Smpte170m(),
        "controls": _controls(camera.camera_controls, options, name=name),
        "buffer_count": BUFFERS,
    } | {stream: {"size": wh, "format": "YUV420"} for stream, wh in asked_wh.items()}
    try:
        camera.configure(camera.create_video_configuration(**asked))
        camera.start()
    except (RuntimeError, ValueError) as error:
        raise SourceError(
            f"{name}: the camera refuses what it is asked for ({reason(error)}); try another "
            "size_wh, or leave it out"
        ) from error
    given = camera.camera_configuration()
    for key in ("transform", "colour_space"):
        if str(given[key]) != str(asked[key]):
            difference = f"asked for {asked[key]}, it gives {given[key]}"
            log_once(logging.WARNING, "%s: %s", name, difference)
    return {
        stream: _granted(given[stream], asked_wh=wh, name=f"{name}: {stream}")
        for stream, wh in asked_wh.items()
    }


def reduced_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    """Return a size of the same aspect that is at most `MODEL_WIDTH_PX` wide, of even sides."""
    width, height = size_wh
    if width <= MODEL_WIDTH_PX:
        return size_wh
    return MODEL_WIDTH_PX, round(height * MODEL_WIDTH_PX / width / 2) * 2


def reason(error: Exception) -> str:
    """Return what lies at the bottom of an error of picamera2, on one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


def _granted(given: dict[str, Any], *, asked_wh: tuple[int, int], name: str) -> PixelFormat:
    """Log what a stream became, and return its format."""
    (width, height), kind = given["size"], given["format"]
    log_once(logging.INFO, "%s is %dx%d, %s", name, width, height, kind)
    for difference in differences(SourceOptions(size_wh=asked_wh), size_wh=(width, height)):
        log_once(logging.WARNING, "%s: %s", name, difference)
    if kind not in FORMATS:
        raise SourceError(
            f"{name}: expected {', '.join(FORMATS)}, the camera gives {kind}; a USB camera is read "
            "by v4l2:/dev/video0"
        )
    return FORMATS[kind]


def _libcamera() -> Any:  # noqa: ANN401
    import libcamera  # type: ignore[import-not-found]  # noqa: PLC0415 - of a Pi's own Python

    return libcamera


def _controls(known: dict[str, Any], options: PicameraOptions, *, name: str) -> dict[str, Any]:
    """Return what was asked for, in libcamera's types.

    Raises:
        SourceError: The camera has no such control, or the control no such value.
    """
    controls = {}
    for control, value in options.controls.items():
        if control not in known:
            raise SourceError(
                f"{name}: the camera has no control {control}; it has {', '.join(sorted(known))}"
            )
        controls[control] = _enumerated(control, value) if isinstance(value, str) else value
    if options.rate_hz and "FrameDurationLimits" in known:
        controls["FrameDurationLimits"] = (round(US_PER_S / options.rate_hz),) * 2
    return controls


def _enumerated(name: str, value: str) -> Any:  # noqa: ANN401
    """Return the member of a control's enumeration that a text names."""
    controls = _libcamera().controls
    kind = getattr(controls, f"{name}Enum", None) or getattr(controls.draft, f"{name}Enum", None)
    members = getattr(kind, "__members__", {})
    if value not in members:
        expected = f"one of {', '.join(members)}" if members else "a number"
        raise SourceError(f"picamera: control {name} expects {expected}, found {value!r}")
    return members[value]
