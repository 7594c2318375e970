"""The sources `gst:` and `csi:`: which pipelines a child of `gst_source` runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from edge.capture.child import need_programs
from edge.capture.gst_source import INSTALL, LAUNCH, GstSource
from edge.capture.location import pipeline_name
from edge.errors import SourceError

if TYPE_CHECKING:
    from edge.capture.options import SourceOptions

CSI_SIZE_WH, CSI_RATE_HZ = (1280, 720), 30.0


def words_of(pipeline: str) -> list[str]:
    """Return a pipeline in words, as a shell would hand it to gst-launch-1.0.

    Raises:
        SourceError: There is none, or a quote is not closed.
    """
    try:
        words = shlex.split(pipeline)
    except ValueError as error:
        raise SourceError(f"gst: the pipeline has an open quote ({error}); close it") from error
    if not words or words[0].startswith("-") or words[-1] == "!" or " " in words[0]:
        raise SourceError(
            "gst: expected a pipeline up to its raw frames, not in quotes, as "
            "gst:v4l2src device=/dev/video0; what makes frames of it is added behind"
        )
    return words


def check_gst(location: str, options: SourceOptions) -> None:  # noqa: ARG001 - the child is asked
    """Refuse what is no pipeline, and a machine without GStreamer; no pipeline is started."""
    words_of(location)
    need_programs("gst", LAUNCH, INSTALL)


def open_gst(location: str, options: SourceOptions) -> GstSource:
    """Open a pipeline that the user wrote, as `GstSource` does."""
    words = words_of(location)
    return GstSource(words, options, name=pipeline_name(location))


def check_csi(location: str, options: SourceOptions) -> None:
    """Refuse a location that can be no CSI camera, and a machine without GStreamer."""
    csi_words(location, options, is_jetson=is_jetson())
    need_programs("csi", LAUNCH, INSTALL)


def open_csi(location: str, options: SourceOptions) -> GstSource:
    """Open a camera at the board's ribbon connector, as `GstSource` does."""
    words = csi_words(location, options, is_jetson=is_jetson())
    return GstSource(words, options, name=f"csi:{location}")


def csi_words(location: str, options: SourceOptions, *, is_jetson: bool) -> list[str]:
    """Return the pipeline of a CSI camera; the sensor is asked for the size and rate.

    Args:
        location: Number of the sensor; on other boards than a Jetson also libcamera's name of it.
        options: Size and rate; 1280x720 at 30 Hz where they ask for none.
        is_jetson: NVIDIA's driver gives the frames, else libcamera.
    """
    width, height = options.size_wh or CSI_SIZE_WH
    rate_hz = options.rate_hz or CSI_RATE_HZ
    size = f"width={width},height={height},framerate={round(rate_hz * 1000)}/1000"
    number = location or "0"
    is_number = number.isascii() and number.isdigit()
    if is_jetson:
        if not is_number:
            raise SourceError(f"csi:{location}: expected the number of a sensor; write csi:0")
        memory = f"video/x-raw(memory:NVMM),format=NV12,{size}"
        return ["nvarguscamerasrc", f"sensor-id={number}", "!", memory, "!", "nvvidconv"]
    if is_number and int(number):
        raise SourceError(
            f"csi:{location}: libcamera knows cameras by name, and the first as 0; list the names "
            "with rpicam-hello --list-cameras or cam -l, and write csi:NAME"
        )
    named = [] if is_number else [f"camera-name={number}"]
    return ["libcamerasrc", *named, "!", f"video/x-raw,format=NV12,{size}"]


def is_jetson(compatible: Path = Path("/proc/device-tree/compatible")) -> bool:
    """Return whether this board has NVIDIA's camera driver, by its device tree."""
    try:
        return b"nvidia,tegra" in compatible.read_bytes()
    except OSError:
        return False
