"""Raw frames from another program: a child that writes them to a pipe."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from io import FileIO
from typing import TYPE_CHECKING

from edge.errors import DependencyError, SourceError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

# The first frame takes what starting takes, on a Raspberry Pi from a cold card.
START_S = 15.0
# What a child may take to let go of the camera before it is killed.
END_S = 1.0
# Of what it says the end is kept: there stands why it ended. It is heard in pieces of half of that,
# so that no line up to the other half is lost between two.
MAX_SAID_BYTES = 8192
HEARD_BYTES = MAX_SAID_BYTES // 2
# As much as Linux lets any user have. With its own 64 KiB a 720p frame takes 22 reads.
F_SETPIPE_SZ, PIPE_BYTES = 1031, 2**20  # Source: linux/fcntl.h
# Has the kernel end a child with the thread that started it, however that ends.
TETHER = ("setpriv", "--pdeathsig", "KILL")


def need_programs(name: str, program: str, install: str) -> None:
    """Refuse a machine without a program, or without what tethers it to this process.

    Raises:
        DependencyError: With what to install.
    """
    for each, advice in ((program, install), (TETHER[0], "it: sudo apt install util-linux")):
        if shutil.which(each) is None:
            raise DependencyError(
                f"{name}: expected the program {each}, found none; install {advice}"
            )


class Child:
    """Owns a program that writes frames to one pipe, and what it has to say to another.

    It ends with the thread that started it, and so with this process.

    Args:
        program: Its name.
        arguments: Of it; given the descriptor that frames are written to.
        name: Of the source, for messages.
        install: What to install where there is no such program.
        on_stdout: The descriptor is the program's standard output.

    Attributes:
        process: The program.
        said: The end of what it has said.
        heard_bytes: How much it has said.

    Raises:
        DependencyError: There is no such program.
        SourceError: It cannot be started.
    """

    def __init__(
        self,
        program: str,
        arguments: Callable[[int], Sequence[str]],
        *,
        name: str,
        install: str,
        on_stdout: bool,
    ) -> None:
        need_programs(name, program, install)
        self.said = bytearray()
        self.heard_bytes = 0
        self._name, self._program = name, program
        self._is_interrupted = False
        self._wake, self._waking = socket.socketpair()
        (frames, write), (texts, say) = os.pipe(), os.pipe()
        self._frames, self._texts = FileIO(frames), FileIO(texts)
        os.set_blocking(texts, False)  # what it started may outlive it, and hold the other end
        self._selector = selectors.DefaultSelector()
        for end in (self._texts, self._waking):
            self._selector.register(end, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # a limit of the system, which costs a little time
            fcntl.fcntl(write, F_SETPIPE_SZ, PIPE_BYTES)
        try:
            # A session of its own: Ctrl-C is this program's, which then ends all of the child.
            self.process = subprocess.Popen(
                [*TETHER, program, *arguments(write)], stdin=subprocess.DEVNULL, stderr=say,
                stdout=write if on_stdout else say, pass_fds=(write,), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise SourceError(
                f"{name}: {program} cannot be started: {error.strerror}; try it in a shell"
            ) from error
        finally:
            os.close(write)
            os.close(say)

    def fill(self, data: NDArray[np.uint8], patience_s: float) -> int | None:
        """Fill contiguous bytes with what it writes next; `None` once interrupted.

        Returns:
            When the first of them came, monotonic clock, nanoseconds. All that was said before them
            has been heard.

        Raises:
            SourceError: It ended, or so long was not enough; with the last that it has said.
        """
        until_s = time.monotonic() + patience_s
        if self._frames not in self._selector.get_map():
            self._selector.register(self._frames, selectors.EVENT_READ)
        rest, began_ns = data.reshape(-1), 0
        while rest.size:
            ready = self._wait(until_s)
            if ready is None:
                return None
            if not ready:
                raise self._silent(patience_s)
            if self._frames in ready:
                began_ns = began_ns or time.monotonic_ns()
                count = self._frames.readinto(rest.data)
                if not count:
                    raise self._ended()
                rest = rest[count:]
        self._hear(self._selector.select(0))
        return began_ns

    def listen(self, patience_s: float) -> bool:
        """Wait until it says something; False once interrupted.

        Raises:
            SourceError: As `fill`.
        """
        ready = self._wait(time.monotonic() + patience_s)
        if ready is not None and not ready:
            raise self._silent(patience_s)
        return ready is not None

    def interrupt(self) -> None:
        """From any thread: end a wait, and each later one."""
        self._is_interrupted = True
        with contextlib.suppress(OSError):  # closed already
            self._wake.send(b"!")

    def close(self) -> None:
        """End it, so that it lets go of the camera; a second call does nothing."""
        self.interrupt()
        # rpicam-vid and gst-launch end in good order at Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(END_S)
        self._selector.close()
        for end in (self._frames, self._texts, self._wake, self._waking):
            end.close()

    def _wait(self, until_s: float) -> set[object] | None:
        """Return what can be read in time; `None` once interrupted. What it says is read then."""
        events = self._selector.select(max(0.0, until_s - time.monotonic()))
        if self._is_interrupted:
            return None
        self._hear(events)
        return {key.fileobj for key, _ in events}

    def _hear(self, events: list[tuple[selectors.SelectorKey, int]]) -> None:
        if all(key.fileobj is not self._texts for key, _ in events):
            return
        heard = self._texts.read(HEARD_BYTES)
        if heard is None:
            return
        self.heard_bytes += len(heard)
        self.said += heard
        del self.said[:-MAX_SAID_BYTES]
        if not heard:
            self._selector.unregister(self._texts)
            if self._frames not in self._selector.get_map():
                raise self._ended()

    def _silent(self, patience_s: float) -> SourceError:
        return SourceError(
            f"{self._name}: {self._program} gave no frame for {patience_s:g} s{self._reason()}; "
            "check the camera's cable"
        )

    def _ended(self) -> SourceError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
            while heard := self._texts.read(HEARD_BYTES):
                self.said += heard
        return SourceError(
            f"{self._name}: {self._program} ended with status {self.process.returncode}"
            f"{self._reason()}; try it in a shell"
        )

    def _reason(self) -> str:
        lines = [line for line in self.said.decode(errors="replace").splitlines() if line.strip()]
        return f": {shown(lines[-1].strip())}" if lines else ""
