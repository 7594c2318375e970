"""Raw frames from another program: a child that writes them to its standard output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.capture.picture import Picture, pixel_shape
from edge.capture.source import enter, leave
from edge.errors import DependencyError, SourceError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

    from numpy.typing import NDArray

    from edge.capture.picture import PixelFormat

# A camera that gives nothing for so long has failed; the first frame takes what starting takes.
SILENCE_S, START_S = 5.0, 15.0
# How soon a wait sees an interrupt.
POLL_S = 0.2
# What a child may take to let go of the camera before it is killed.
END_S = 1.0
# Of what it says the end is kept: there stands why it ended.
MAX_SAID_BYTES = 4096
# As much as Linux lets any user have. With its own 64 KiB a 720p frame takes 22 reads.
PIPE_BYTES = 2**20


class ChildFrames:
    """Frames of one format and size, without padding, that a child writes one behind the other.

    Args:
        command: The program and its arguments.
        name: Of the source, for messages.
        pixel_format: Of the frames.
        size_wh: Of the frames, pixels.
        install: What to install where there is no such program.

    Raises:
        DependencyError: There is no such program.
        SourceError: It cannot be started.
    """

    live = True
    __enter__, __exit__ = enter, leave

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        pixel_format: PixelFormat,
        size_wh: tuple[int, int],
        install: str,
    ) -> None:
        self._name, self._program, self._format = name, command[0], pixel_format
        self._pixels = np.empty(pixel_shape(pixel_format, size_wh), np.uint8)
        self._said = bytearray()
        self._patience_s = START_S
        self._is_interrupted = False
        self._filled = self._began_ns = 0
        try:
            # A group of its own: Ctrl-C is this program's, which then ends all of the child.
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                bufsize=0, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise DependencyError(
                f"{name}: expected the program {command[0]}, found none; install {install}"
            ) from error
        except OSError as error:
            raise SourceError(
                f"{name}: {command[0]} cannot be started: {error.strerror}; try it in a shell"
            ) from error
        self._selector = selectors.DefaultSelector()
        self._out, self._err = (
            cast("FileIO", self._child.stdout),
            cast("FileIO", self._child.stderr),
        )
        self._selector.register(self._out, selectors.EVENT_READ, self._fill)
        self._selector.register(self._err, selectors.EVENT_READ, self._listen)
        os.set_blocking(self._err.fileno(), False)
        with contextlib.suppress(OSError):  # a limit of the system, which costs a little time
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def said(self) -> str:
        """Return the end of what the child has written to its standard error."""
        return self._said.decode(errors="replace")

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:  # noqa: ARG002 - its own
        """Return the next frame, captured when its first byte came: `Source.read`."""
        give_up_s = time.monotonic() + self._patience_s
        self._filled = self._began_ns = 0
        while self._filled < self._pixels.size:
            ready = self._selector.select(POLL_S)
            if self._is_interrupted:
                return None
            for key, _ in ready:
                key.data()
            if time.monotonic() > give_up_s:
                raise SourceError(
                    f"{self._name}: {self._program} gave no frame for {self._patience_s:g} s"
                    f"{self._reason()}; check the camera's cable"
                )
        self._patience_s = SILENCE_S
        return Picture.taken(
            self._pixels, self._began_ns, pixel_format=self._format, captured_ns=self._began_ns
        )

    def interrupt(self) -> None:
        """Give no more frames: `Source.interrupt`."""
        self._is_interrupted = True

    def close(self) -> None:
        """End the child, which lets go of the camera; a second call does nothing."""
        self._is_interrupted = True
        # rpicam-vid and gst-launch end in good order at Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._child.poll() is None:
                os.killpg(self._child.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(END_S)
        self._selector.close()
        self._out.close()
        self._err.close()

    def _fill(self) -> None:
        """Read on into the frame under way."""
        rest = self._pixels.reshape(-1)[self._filled :]
        count = os.readv(self._out.fileno(), [rest.data])
        if not count:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(END_S)
            self._listen()
            raise SourceError(
                f"{self._name}: {self._program} ended with status {self._child.returncode}"
                f"{self._reason()}; try it in a shell"
            )
        self._began_ns = self._began_ns or time.monotonic_ns()
        self._filled += count

    def _listen(self) -> None:
        """Take in what it says, of which nothing may be there."""
        heard = self._err.read(MAX_SAID_BYTES)
        if heard == b"" and self._err in self._selector.get_map():
            self._selector.unregister(self._err)
        self._said += heard or b""
        del self._said[:-MAX_SAID_BYTES]

    def _reason(self) -> str:
        lines = [line for line in self.said().splitlines() if line.strip()]
        return f": {shown(lines[-1].strip())}" if lines else ""
