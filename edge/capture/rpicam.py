"""The camera of a Raspberry Pi through the program `rpicam-vid`, where no bindings can be had."""

from __future__ import annotations

import logging
import re
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.child import START_S, Child
from edge.capture.picture import Picture, pixel_shape
from edge.capture.source import STALL_S, enter, leave
from edge.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.options import PicameraOptions
    from edge.capture.picture import PixelFormat

# By its name since Raspberry Pi OS 12, and before.
PROGRAMS = ("rpicam-vid", "libcamera-vid")
INSTALL = "it: sudo apt install rpicam-apps"
DEFAULT_SIZE_WH = (640, 360)
# A Pi 5 lays rows of chroma out by 64 bytes, and those of luma are twice as long; `--codec yuv420`
# writes what lies between them too. Source: picamera2's `align_stream`.
ROW_PX = 128
# As a JPEG: it asks for the colours of sYCC with this codec.
FORMAT: PixelFormat = "j420"
# The one turn that a sensor makes itself, degrees.
HALF_TURN = 180
# libcamera's controls, and how the program calls them. Source: rpicam-vid --help.
CONTROLS = {
    "AfMode": "--autofocus-mode",
    "AnalogueGain": "--gain",
    "AwbMode": "--awb",
    "Brightness": "--brightness",
    "Contrast": "--contrast",
    "ExposureTime": "--shutter",
    "ExposureValue": "--ev",
    "LensPosition": "--lens-position",
    "Saturation": "--saturation",
    "Sharpness": "--sharpness",
}
# What libcamera says of the streams that it set up, the program's own one first.
CONFIGURED = re.compile(r"configuring streams: \(0\) (\d+)x(\d+)-(\w+)")

logger = logging.getLogger(__name__)


def program() -> str | None:
    """Return the program that is installed, `None` without one."""
    return next((name for name in PROGRAMS if shutil.which(name)), None)


def check_rpicam(options: PicameraOptions) -> None:
    """Refuse what the program cannot give.

    Raises:
        SourceError: A size whose rows it would pad, or a control that it does not have.
    """
    width, height = options.size_wh or DEFAULT_SIZE_WH
    if width % ROW_PX or height % 2:
        wide = max(ROW_PX, width - width % ROW_PX)
        raise SourceError(
            f"picamera: through rpicam-vid expects a width that {ROW_PX} divides and an even "
            f"height, found {width}x{height}; write size_wh = [{wide}, {height - height % 2}]"
        )
    if unknown := sorted(options.controls.keys() - CONTROLS.keys()):
        raise SourceError(
            f"picamera: rpicam-vid has no control {unknown[0]}; it has {', '.join(CONTROLS)}"
        )


class RpicamSource:
    """Frames of the camera as the child writes them; the time of a frame is when it arrives.

    Args:
        number: Of the camera.
        options: What to ask for.

    Raises:
        SourceError: As `check_rpicam`, or it cannot be started.
        DependencyError: There is no such program.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, number: int, options: PicameraOptions) -> None:
        check_rpicam(options)
        self._size_wh = options.size_wh or DEFAULT_SIZE_WH
        self._is_checked = False
        self._pixels = np.empty(pixel_shape(FORMAT, self._size_wh), np.uint8)
        name, *arguments = command(program() or PROGRAMS[0], number, options)
        self.child = Child(
            name, lambda _: arguments, name=f"picamera:{number}", install=INSTALL, on_stdout=True
        )
        self.interrupt, self.close = self.child.interrupt, self.child.close

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:  # noqa: ARG002 - its own
        """Return the next frame: `Source.read`."""
        began_ns = self.child.fill(self._pixels, STALL_S if self._is_checked else START_S)
        if began_ns is None:
            return None
        if not self._is_checked:
            self._check_what_was_configured()
            self._is_checked = True
        return Picture.taken(self._pixels, began_ns, pixel_format=FORMAT, captured_ns=began_ns)

    def _check_what_was_configured(self) -> None:
        """Bytes have no shape: of another size they would be a torn picture, and no error.

        Raises:
            SourceError: The camera was set up otherwise than asked.
        """
        found = CONFIGURED.search(self.child.said.decode(errors="replace"))
        if found is None:
            logger.info(
                "rpicam-vid does not say what it configured; it was asked for %dx%d", *self._size_wh
            )
            return
        width, height, kind = int(found[1]), int(found[2]), found[3]
        if (width, height) != self._size_wh or kind != "YUV420":
            asked = "x".join(map(str, self._size_wh))
            raise SourceError(
                f"picamera: asked rpicam-vid for {asked} YUV420, it gives {width}x{height} {kind}; "
                f"write size_wh = [{width}, {height}]"
            )


def command(name: str, number: int, options: PicameraOptions) -> list[str]:
    """Return the command line that writes the frames to standard output.

    Source: rpicam-apps, core/options.cpp, core/video_options.hpp and apps/rpicam_vid.cpp.
    """
    width, height = options.size_wh or DEFAULT_SIZE_WH
    asked: dict[str, Any] = {
        "--camera": number,
        "--width": width,
        "--height": height,
        "--codec": "yuv420",
        "--timeout": 0,
        "--output": "-",
    }
    if options.rate_hz:
        asked["--framerate"] = f"{options.rate_hz:g}"
    if options.rotate == HALF_TURN:
        asked["--rotation"] = HALF_TURN
    for control, value in options.controls.items():
        # The same words as libcamera's, in small letters.
        asked[CONTROLS[control]] = value.lower() if isinstance(value, str) else value
    return [name, "--nopreview", "--flush", *(str(part) for pair in asked.items() for part in pair)]
