"""The source `replay:`: what `edge record` wrote, frame for frame, with its times."""

from __future__ import annotations

import logging
import os
import threading
import time
import zlib
from typing import TYPE_CHECKING

from edge.capture.location import find
from edge.capture.picture import Picture
from edge.capture.recording import END, END_BYTES, MAX_LINE_BYTES, Entry, Header, unpack
from edge.capture.source import NS_PER_S, enter, leave
from edge.errors import SourceError
from edge.record import Unsound, read_json

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

logger = logging.getLogger(__name__)


class Player:
    """Reads a recording from front to end, one frame in memory.

    Args:
        path: Of a recording, finished or not.

    Attributes:
        header: What it begins with.

    Raises:
        SourceError: It is no recording.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames, self._is_cut = 0, False
        try:
            self._file = path.open("rb")
            self._finished = self._has_end()
            self._file.seek(0)
            line = self._file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise SourceError(
                f"{path}: cannot be read: {error.strerror}; check it with ls -l"
            ) from error
        try:
            self.header = read_json(Header, line)
        except Unsound as error:
            self._file.close()
            raise SourceError(
                f"{path}: expected a recording of this version, found another file ({error}); "
                "make one: edge record SOURCE --out FILE"
            ) from error
        self._first = self._file.tell()

    def next_frame(
        self, buffer: NDArray[np.uint8] | None
    ) -> tuple[Entry, NDArray[np.uint8]] | None:
        """Return the next frame, its pixels in `buffer` where they fit; `None` at the end.

        One that was never finished, or was cut short since, ends where it is not whole any more;
        the log says so.

        Raises:
            SourceError: It is damaged, or no frame of it is whole.
        """
        try:
            line = self._file.readline(MAX_LINE_BYTES)
            if self._finished and self._is_end(line):
                return None
            entry = read_json(Entry, line)
            shape = entry.shape()
            pixels = unpack(self._file.read(entry.packed_bytes), shape, buffer)
        except (OSError, Unsound, ValueError, zlib.error) as error:
            self._stop(error)
            return None
        self._frames += 1
        return entry, pixels

    def rewind(self) -> None:
        """Go back before the first frame."""
        self._file.seek(self._first)
        self._frames = 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _stop(self, error: Exception) -> None:
        """Take what cannot be read of an unfinished recording for its end."""
        if self._finished or not self._frames:
            raise SourceError(
                f"{self._path}: expected a whole recording, found {self._frames} whole frames and "
                f"then damage ({error}); copy or record it again"
            ) from error
        if not self._is_cut:
            logger.warning(
                "%s: was not finished, or is cut short: its first %d frames are whole, and given",
                *(self._path, self._frames),
            )
        self._is_cut = True

    def _has_end(self) -> bool:
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - END_BYTES))
        return END.search(self._file.read()) is not None

    def _is_end(self, line: bytes) -> bool:
        end = END.fullmatch(line)
        if end and int(end[1]) != self._frames:
            raise ValueError(f"its end says {int(end[1])} frames")
        if end and not self._frames:
            raise ValueError("it holds no frame")
        return end is not None


class Replay:
    """The frames of a recording; their UTC times are those of the recording.

    Args:
        path: Of the recording.
        options: `realtime` gives frames as far apart as they were taken, and lets late ones drop
            like a camera's; else each comes as soon as it is taken. `loop` starts again at the end.
            Size and rate are the recording's.

    Raises:
        SourceError: It is no recording.
    """

    __enter__, __exit__ = enter, leave

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.live = bool(options.realtime)
        self._path, self._options = path, options
        self._player = Player(path)
        self._interrupted = threading.Event()
        self.interrupt = self._interrupted.set
        self._due_ns = time.monotonic_ns()
        self._last_ns: int | None = None

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next frame: `Source.read`."""
        began_ns = time.monotonic_ns()
        frame = None if self._interrupted.is_set() else self._player.next_frame(buffer)
        if frame is None and self._options.loop and not self._interrupted.is_set():
            self._player.rewind()
            self._last_ns = None
            frame = self._player.next_frame(buffer)
        if frame is None:
            return None
        entry, pixels = frame
        work_ns = time.monotonic_ns() - began_ns
        if self.live and self._is_interrupted_before(entry.captured_ns):
            return None
        return Picture(
            pixels,
            time.monotonic_ns(),
            entry.captured_utc_ns,
            work_ns,
            format=entry.format,
            rotate=entry.rotate,
            file_ns=None if self.live else entry.captured_ns,
        )

    def close(self) -> None:
        """Let go of the file: `Source.close`."""
        self._interrupted.set()
        self._player.close()

    def _is_interrupted_before(self, captured_ns: int) -> bool:
        """Wait until a frame is as far from the last one as it was when they were taken.

        What was late is not made up for in a burst.
        """
        now_ns = time.monotonic_ns()
        apart_ns = 0 if self._last_ns is None else max(0, captured_ns - self._last_ns)
        self._last_ns = captured_ns
        self._due_ns = max(self._due_ns + apart_ns, now_ns)
        return self._interrupted.wait((self._due_ns - now_ns) / NS_PER_S)


def open_replay(location: str, options: SourceOptions) -> Replay:
    """Open the recording at a path, as `location.find` takes it; `Replay` says what is raised."""
    path = find("replay", location)
    if path.is_dir():
        raise SourceError(f"{path}: expected a recording, found a folder; name the file in it")
    if options.size_wh or options.rate_hz:
        logger.warning("%s: frames keep the size and times of the recording", path)
    return Replay(path, options)
