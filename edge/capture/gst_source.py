"""A GStreamer pipeline in a child, which writes its frames to this process.

OpenCV as pip has it knows no GStreamer. The pipeline's end is ours: it makes each frame NV12 and
puts a header before it that states its length, so that no frame is ever read as half of another.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from io import FileIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.capture.picture import Picture
from edge.capture.source import STALL_S, enter, leave, log_once
from edge.errors import SourceError, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

LAUNCH = "gst-launch-1.0"
# The child starts, and its camera with it, on a Raspberry Pi from a cold card.
FIRST_FRAME_S = 15.0
STOP_S = 1.0
# Source: Linux, fcntl.h; Python 3.10 has it in `fcntl` by name only where its C library does.
F_SETPIPE_SZ, PIPE_BYTES = 1031, 2**20
MOST_SAID_BYTES, SHOWN_CHARACTERS = 8192, 300
HEADER = "--edge\r\nContent-Type: video/x-raw\r\nContent-Length: {}\r\n\r\n"
END = b"\r\n"
# As `gst-launch-1.0 -v` writes what the pad of the element `edge` has agreed on.
AGREED = re.compile(
    rb"GstCapsFilter:edge\.GstPad:src: caps = .*width=\(int\)(\d+), height=\(int\)(\d+).*\n"
)
FAULT = re.compile(
    r"^(?:ERROR: from element [^:]+:\S+ |ERROR: pipeline could not be constructed: "
    r"|WARNING: erroneous pipeline: )(.+)$",
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


class _Child:
    """Owns a running gst-launch-1.0.

    Attributes:
        frames: Where it writes blocks.
        texts: Where it writes what it says.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, words: list[str], size_wh: tuple[int, int] | None) -> None:
        read, write = os.pipe()
        self.frames = FileIO(read)
        try:
            with contextlib.suppress(OSError):  # This user has too many: a smaller one will do.
                fcntl.fcntl(write, F_SETPIPE_SZ, PIPE_BYTES)
            texts, said = os.pipe()
            self.texts = FileIO(texts)
            try:
                pipeline = *words, *_tail(size_wh, write)
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", LAUNCH, "-v", *pipeline],
                    stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                    pass_fds=(write,), start_new_session=True,
                )  # fmt: skip
            finally:
                os.close(said)
        finally:
            os.close(write)

    def last_words(self) -> bytes:
        """Return what it still says before its end."""
        said = b""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
            while more := self.texts.read(MOST_SAID_BYTES):
                said += more
        return said

    def close(self) -> None:
        """End it; on SIGINT gst-launch lets go of the camera first."""
        for number in (signal.SIGINT, signal.SIGKILL):
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
                break
        self.frames.close()
        self.texts.close()


def _tail(size_wh: tuple[int, int] | None, descriptor: int) -> list[str]:
    """Return our end of a pipeline: the newest frame, as NV12, of one size, in a block."""
    caps, scale = "video/x-raw,format=NV12", []
    if size_wh:
        caps += ",width={},height={}".format(*size_wh)
        scale = ["videoscale", "!"]
    return [
        "!", "queue", "leaky=downstream", "max-size-buffers=1", "!", "videoconvert", "!", *scale,
        "capsfilter", "name=edge", f"caps={caps}", "!",
        "multipartmux", "boundary=edge", "!", "fdsink", f"fd={descriptor}", "sync=false",
    ]  # fmt: skip


class GstSource:
    """A pipeline in a child: always live; the first `read` starts it.

    The child dies with the thread that reads, and so with this process. Frames lie in a buffer of
    this source.

    Args:
        words: The pipeline up to raw frames of any kind, as a shell would hand it to gst-launch.
        options: Its size is the frames' whatever the pipeline gives; without one, a change of size
            breaks the source, and it is opened again.
        name: For messages.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(self, words: list[str], options: SourceOptions, *, name: str) -> None:
        self._words = words
        self._size_wh = options.size_wh
        self._name = name
        self._child: _Child | None = None
        self._said = b""
        self._block: _Block | None = None
        self._data = np.empty(0, np.uint8)
        self._selector = selectors.DefaultSelector()
        self._wake, self._waking = socket.socketpair()
        self._selector.register(self._waking, selectors.EVENT_READ)
        self._is_interrupted = False

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:  # noqa: ARG002 - its own
        """Return the pipeline's next frame: `Source.read`."""
        until_s = time.monotonic() + (STALL_S if self._block else FIRST_FRAME_S)
        child = self._child or self._start()
        filled = began_ns = 0
        while self._block is None or filled < len(self._data):
            ready = self._wait(until_s)
            if self._is_interrupted:
                return None
            # What it says comes first: of which size the frames in the pipe are.
            if child.texts in ready:
                self._listen(child)
            elif child.frames in ready:
                began_ns = began_ns or time.monotonic_ns()
                filled += self._take(child, filled)
        # A turned frame has as many bytes: that its size changed is said, and said before it.
        if any(key.fileobj is child.texts for key, _ in self._selector.select(0)):
            self._listen(child)
        pixels = self._block.pixels(self._data)
        if pixels is None:
            raise self._resized()
        return Picture.taken(pixels, began_ns, pixel_format="nv12")

    def interrupt(self) -> None:
        """End a wait, and give no more frames: `Source.interrupt`."""
        self._is_interrupted = True
        with contextlib.suppress(OSError):  # closed already
            self._wake.send(b"!")

    def close(self) -> None:
        """Stop the child, by force where it does not stop in a second."""
        self.interrupt()
        child, self._child = self._child, None
        if child:
            child.close()
        self._selector.close()
        self._wake.close()
        self._waking.close()

    def _start(self) -> _Child:
        try:
            self._child = child = _Child(self._words, self._size_wh)
        except OSError as error:
            raise SourceError(f"{self._name}: cannot start {LAUNCH}: {error}") from error
        self._selector.register(child.texts, selectors.EVENT_READ)
        return child

    def _wait(self, until_s: float) -> set[object]:
        """Return which of the child's two ends have something to read."""
        left_s = until_s - time.monotonic()
        ready = self._selector.select(left_s) if left_s > 0 else []
        if not ready and not self._is_interrupted:
            limit_s = STALL_S if self._block else FIRST_FRAME_S
            raise SourceError(
                f"{self._name}: the pipeline gave no frame for {limit_s:g} s; run it by hand with "
                f"{LAUNCH}"
            )
        return {key.fileobj for key, _ in ready}

    def _listen(self, child: _Child) -> None:
        """Take in what the child says: the size of its frames, and what is wrong."""
        said = child.texts.read(MOST_SAID_BYTES)
        if not said:
            raise self._ended(child)
        self._said += said
        for agreed in AGREED.finditer(self._said):
            size_wh = int(agreed[1]), int(agreed[2])
            if self._block and self._block.size_wh != size_wh:
                raise self._resized()
            if not self._block:
                self._agree(child, size_wh)
        # From here on, what was looked through is only kept to be shown.
        self._said = self._said[-MOST_SAID_BYTES:]

    def _agree(self, child: _Child, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        if width % 2 or height % 2:
            raise SourceError(
                f"{self._name}: expected frames of even sides, found {width}x{height}; "
                f"set [camera] size_wh = [{width - width % 2}, {height - height % 2}]"
            )
        log_once(logging.INFO, "%s: %dx%d", self._name, width, height)
        self._block = _Block.of(size_wh)
        self._data = np.empty(self._block.total_bytes, np.uint8)
        self._selector.register(child.frames, selectors.EVENT_READ)

    def _take(self, child: _Child, filled: int) -> int:
        """Read what there is of a block; return how much that was."""
        count = child.frames.readinto(self._data[filled:].data)
        if not count:
            raise self._ended(child)
        return count

    def _resized(self) -> SourceError:
        return SourceError(
            f"{self._name}: the size of the frames changed; set [camera] size_wh to keep one size"
        )

    def _ended(self, child: _Child) -> SourceError:
        """Return why the pipeline ended, in its own words."""
        text = (self._said + child.last_words()).decode(errors="replace")
        if missing := NO_ELEMENT.search(text):
            package = PACKAGES.get(missing[1], OTHER_PACKAGES)
            return SourceError(
                f"{self._name}: GStreamer has no element {missing[1]!r} here; type: "
                f"sudo apt install {package}, and see: gst-inspect-1.0 {missing[1]}"
            )
        fault = FAULT.search(text)
        reason = shown(fault[1].strip()[:SHOWN_CHARACTERS]) if fault else "it has no more frames"
        return SourceError(
            f"{self._name}: the pipeline ended: {reason}; run it by hand with {LAUNCH}"
        )
