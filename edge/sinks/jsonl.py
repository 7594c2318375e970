"""Messages as JSON lines: the same payload that MQTT carries, one a line."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, BinaryIO

from edge.config.sink import Jsonl
from edge.errors import SinkClosed, SinkError

if TYPE_CHECKING:
    from edge.messages.envelope import Message


class JsonlSink:
    """Writes each payload at once, so that a reader sees it while the next frame is taken.

    It writes to the file's descriptor and leaves the stream's buffer empty: a thread that a reader
    holds up would keep the buffer's lock, and Python dies at its end of a lock that it cannot have.

    Args:
        stream: An open file or pipe; its owner closes it.
        settings: Which messages.
    """

    may_wait = True

    def __init__(
        self, stream: BinaryIO, settings: Jsonl | None = None, *, name: str = "jsonl"
    ) -> None:
        self.name = name
        self._settings = settings or Jsonl()
        self._file_name = stream.name
        self._descriptor = stream.fileno()

    def send(self, message: Message) -> None:
        """Write one line, if it is of those wanted; wait for a reader that is slow.

        Raises:
            SinkClosed: The reader has gone.
            SinkError: The line can't be written; the disk may be full.
        """
        if not self._settings.wants(message):
            return
        line = memoryview(message.payload + b"\n")
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        except BrokenPipeError as error:
            raise SinkClosed("jsonl: the reader of the results has gone; start it again") from error
        except OSError as error:
            remedy = "check with df -h, or " if error.errno == errno.ENOSPC else ""
            raise SinkError(
                f"jsonl: expected to write {len(line)} bytes to {self._file_name}, found: "
                f"{error.strerror}; {remedy}write elsewhere"
            ) from error

    def close(self, timeout_s: float) -> int:  # noqa: ARG002 - every line was written already
        """Return 0: a line is either written or reported."""
        return 0
