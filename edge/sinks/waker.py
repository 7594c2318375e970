"""End another thread's wait for its socket."""

from __future__ import annotations

import contextlib
import socket

DRAIN_BYTES = 4096


class Waker:
    """A byte through a socket pair; one is sent however often `wake` is called before `drain`.

    A thread that stores its news first and wakes second is never missed by one that drains first
    and looks for news second.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)  # noqa: FBT003 - the standard library's own spelling
        self._writer.setblocking(False)  # noqa: FBT003
        self._awake = False

    def wake(self) -> None:
        """End the wait, now or when it begins; never blocks."""
        if self._awake:
            return
        self._awake = True
        with contextlib.suppress(BlockingIOError):  # full of bytes that will wake it as well
            self._writer.send(b"\0")

    def drain(self) -> None:
        """Forget the wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            self._reader.recv(DRAIN_BYTES)
        self._awake = False

    def fileno(self) -> int:
        """Return what to wait on until it can be read."""
        return self._reader.fileno()

    def close(self) -> None:
        """Give the sockets back; idempotent."""
        self._reader.close()
        self._writer.close()
