"""Observations as JSON lines: the same message that MQTT carries, one a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from edge.errors import SinkClosed, SinkError

if TYPE_CHECKING:
    from edge.messages.envelope import PayloadEncoder
    from edge.results.observation import Observation


class JsonlSink:
    """Writes each observation at once, so that a reader sees it while the next frame is taken.

    Args:
        stream: Open for writing; its owner closes it.
        encoder: Makes the messages.
    """

    def __init__(self, stream: BinaryIO, encoder: PayloadEncoder) -> None:
        self._stream = stream
        self._encoder = encoder

    def publish(self, observation: Observation) -> None:
        """Write one line.

        Raises:
            SinkClosed: The reader has gone.
            SinkError: The line can't be written; the disk may be full.
        """
        line = self._encoder.encode(observation) + b"\n"
        try:
            self._stream.write(line)
            self._stream.flush()
        except BrokenPipeError as error:
            self._discard_rest()
            raise SinkClosed("jsonl: the reader of the results has gone; nothing to do") from error
        except OSError as error:
            self._discard_rest()
            raise SinkError(
                f"jsonl: expected room for {len(line)} bytes in {self._stream.name}, found: "
                f"{error.strerror}; check with df -h, or write elsewhere"
            ) from error

    def close(self, timeout_s: float) -> int:  # noqa: ARG002 - every line was flushed already
        """Return 0: a line is either written or reported."""
        return 0

    def _discard_rest(self) -> None:
        # Python flushes its streams once more at exit; what is stuck in this one would fail again,
        # with a traceback behind the sentence that the user has read.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
