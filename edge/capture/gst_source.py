"""A GStreamer pipeline in a child, which writes its frames to this process.

OpenCV as pip has it knows no GStreamer. The pipeline's end is ours: it makes each frame NV12 and
puts a header before it that states its length, so that no frame is ever read as half of another.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from edge.capture.child import START_S, Child
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
