"""The sources `gst:` and `csi:`: a GStreamer pipeline in a child writes its frames to this process.

OpenCV as pip has it knows no GStreamer. The pipeline's end is ours: it makes each frame NV12 and
puts a header before it that states its length, so that no frame is ever read as half of another.
"""

from __future__ import annotations

import logging
import re
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from edge.capture.child import START_S, Child, need_programs
from edge.capture.location import pipeline_name
from edge.capture.picture import Picture
from edge.capture.source import STALL_S, enter, leave, log_once
from edge.errors import SourceError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

ResultT = TypeVar("ResultT")

LAUNCH = "gst-launch-1.0"
INSTALL = (
    "it: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)
CSI_SIZE_WH, CSI_RATE_HZ = (1280, 720), 30.0
SHOWN_CHARACTERS = 300
HEADER = "--edge\r\nContent-Type: video/x-raw\r\nContent-Length: {}\r\n\r\n"
END = b"\r\n"
# As `gst-launch-1.0 -v` writes what the pad of the element `edge` has agreed on.
AGREED = re.compile(
    rb"GstCapsFilter:edge\.GstPad:src: caps = .*width=\(int\)(\d+), height=\(int\)(\d+).*\n"
)
FAULT = re.compile(
    r"^(?:ERROR: from element [^:]+:\S+ |ERROR: pipeline could not be constructed: "
    r"|WARNING: erroneous pipeline: |(?=setpriv: |gst-launch-1.0: ))(.+)$",
    re.MULTILINE,
)
NO_ELEMENT = re.compile(r'no element "([^"]+)"')
# Elements that come in packages of their own.
PACKAGES = {"libcamerasrc": "gstreamer1.0-libcamera", "nvarguscamerasrc": "nvidia-l4t-gstreamer"}
OTHER_PACKAGES = "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"


class _Block(NamedTuple):
    """What the pipe carries for each frame: a header, the frame, and an end.

    Attributes:
        size_wh: Of the frame, pixels; both even.
        header: What stands before it.
        stride: Bytes from one row to the next. Source: GStreamer, video-info.c: rows of NV12 are
            padded to four bytes.
    """

    size_wh: tuple[int, int]
    header: bytes
    stride: int

    @classmethod
    def of(cls, size_wh: tuple[int, int]) -> _Block:
        width, height = size_wh
        stride = (width + 3) // 4 * 4
        return cls(size_wh, HEADER.format(stride * height * 3 // 2).encode(), stride)

    @property
    def total_bytes(self) -> int:
        return len(self.header) + self.stride * self.size_wh[1] * 3 // 2 + len(END)

    def pixels(self, data: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """Return a view of the frame, as `Picture.pixels` is of NV12; `None` if it is none."""
        if data[: len(self.header)].tobytes() != self.header or data[-2:].tobytes() != END:
            return None
        rows = data[len(self.header) : -len(END)].reshape(-1, self.stride)
        return rows[:, : self.size_wh[0]]


def _tail(size_wh: tuple[int, int] | None, descriptor: int) -> list[str]:
    """Return our end of a pipeline: the newest frame, as NV12, of one size, in a block.

    The queue comes last: before the conversion, GStreamer 1.22 now and then never agreed on a
    format (7 of 246 starts of a pipeline of two parts, on two busy cores; so none of 509).
    """
    caps, scale = "video/x-raw,format=NV12", []
    if size_wh:
        caps += ",width={},height={}".format(*size_wh)
        scale = ["videoscale", "!"]
    return [
        "!", "videoconvert", "!", *scale, "capsfilter", "name=edge", f"caps={caps}", "!",
        "queue", "leaky=downstream", "max-size-buffers=1", "!",
        "multipartmux", "boundary=edge", "!", "fdsink", f"fd={descriptor}", "sync=false",
    ]  # fmt: skip


class GstSource:
    """A pipeline in a child: always live. Frames lie in a buffer of this source.

    Args:
        words: The pipeline up to raw frames of any kind, as a shell would hand it to gst-launch.
        options: Its size is the frames' whatever the pipeline gives; without one, a change of size
            breaks the source, and it is opened again.
        name: For messages.

    Attributes:
        child: Runs it.

    Raises:
        DependencyError: GStreamer is not installed.
        SourceError: It cannot be started.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, words: list[str], options: SourceOptions, *, name: str) -> None:
        self._name = name
        self._block: _Block | None = None
        self._data = np.empty(0, np.uint8)
        self._heard_bytes = 0
        self.child = Child(
            LAUNCH,
            lambda descriptor: ["-v", *words, *_tail(options.size_wh, descriptor)],
            name=name,
            install=INSTALL,
            on_stdout=False,
        )
        self.interrupt, self.close = self.child.interrupt, self.child.close

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:  # noqa: ARG002 - its own
        """Return the pipeline's next frame: `Source.read`."""
        patience_s = STALL_S if self._block else START_S
        while self._block is None:
            if not self._asked(self.child.listen, patience_s):
                return None
            self._agree()
        began_ns = self._asked(partial(self.child.fill, self._data), patience_s)
        if began_ns is None:
            return None
        # A turned frame has as many bytes as before: its size is heard of, and before it comes.
        self._agree()
        pixels = self._block.pixels(self._data)
        if pixels is None:
            raise self._resized()
        return Picture.taken(pixels, began_ns, pixel_format="nv12")

    def _asked(self, call: Callable[[float], ResultT], patience_s: float) -> ResultT:
        """Ask the child for something, and say why it does not give it."""
        try:
            return call(patience_s)
        except SourceError:
            # Not from that: it quotes what was said last, and `-v` spells properties.
            raise self._explained(patience_s) from None

    def _agree(self) -> None:
        """Take in the size of the frames, where something new was said of it."""
        if self.child.heard_bytes == self._heard_bytes:
            return
        self._heard_bytes = self.child.heard_bytes
        for agreed in AGREED.finditer(self.child.said):
            width, height = size_wh = int(agreed[1]), int(agreed[2])
            if self._block and self._block.size_wh != size_wh:
                raise self._resized()
            if width % 2 or height % 2:
                raise SourceError(
                    f"{self._name}: expected frames of even sides, found {width}x{height}; "
                    f"set [camera] size_wh = [{width - width % 2}, {height - height % 2}]"
                )
            if self._block is None:
                log_once(logging.INFO, "%s: %dx%d", self._name, width, height)
                self._block = _Block.of(size_wh)
                self._data = np.empty(self._block.total_bytes, np.uint8)

    def _resized(self) -> SourceError:
        return SourceError(
            f"{self._name}: the size of the frames changed; set [camera] size_wh to keep one size"
        )

    def _explained(self, patience_s: float) -> SourceError:
        """Return why the pipeline gives nothing, in its own words where it has some."""
        text = self.child.said.decode(errors="replace")
        if missing := NO_ELEMENT.search(text):
            package = PACKAGES.get(missing[1], OTHER_PACKAGES)
            return SourceError(
                f"{self._name}: GStreamer has no element {missing[1]!r} here; type: "
                f"sudo apt install {package}, and see: gst-inspect-1.0 {missing[1]}"
            )
        # Of what else it says nothing is shown: `-v` spells properties, and some are secret.
        if fault := FAULT.search(text):
            reason = f"ended: {shown(fault[1].strip()[:SHOWN_CHARACTERS])}"
        elif self.child.process.poll() is None:
            reason = f"gave no frame for {patience_s:g} s"
        elif code := self.child.process.returncode:
            reason = f"ended with status {code}"
        else:
            reason = "ended: it has no more frames"
        return SourceError(f"{self._name}: the pipeline {reason}; run it by hand with {LAUNCH}")


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
