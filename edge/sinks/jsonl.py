"""Messages as JSON lines, the same payload that MQTT carries: on stdout, or in files."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from edge.config.sink import Jsonl
from edge.errors import ConfigError, SinkClosed, SinkError
from edge.repeats import Repeats

if TYPE_CHECKING:
    from pathlib import Path

    from edge.messages.envelope import Message

log = logging.getLogger("edge.sinks")

BYTES_PER_MIB = 2**20
# Results tell who was where: others of the machine have no business with them.
MODE = 0o640


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


class JsonlFile:
    """Appends each payload as a line; `NAME` is put aside as `NAME.1`, that as `NAME.2`.

    What cannot be written, as on a full disk, is dropped, counted and told of, and the next line is
    tried again. A line is written whole or not at all, but for a power cut: what that left of one
    is ended when the file is opened. A file that somebody took away is begun anew.

    Args:
        path: Of the newest.
        settings: Which messages, how large, and how many files.
    """

    may_wait = True

    def __init__(self, path: Path, settings: Jsonl, *, name: str = "jsonl") -> None:
        self.name = name
        self._path = path
        self._settings = settings
        self._most_bytes = settings.max_mib * BYTES_PER_MIB
        self._descriptor = -1
        self._repeats = Repeats()
        self._lost = 0

    def send(self, message: Message) -> None:
        """Write one line, if it is one of those wanted."""
        if not self._settings.wants(message):
            return
        try:
            self._write(message.payload + b"\n")
        except OSError as error:
            self._lost += 1
            remedy = "; make room (check with df -h)" if error.errno == errno.ENOSPC else ""
            text = f"{self.name}: {self._path} cannot be written: {error.strerror}{remedy}"
            self._repeats.warn(log, "write", f"{text}; results are dropped until it can")

    def close(self, timeout_s: float) -> int:  # noqa: ARG002 - every line was written already
        """Close the file; return how many lines could not be written."""
        self._leave()
        return self._lost

    def _write(self, line: bytes) -> None:
        size_bytes = self._open()
        if size_bytes and size_bytes + len(line) > self._most_bytes:
            self._put_aside()
            size_bytes = self._open()
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            os.ftruncate(self._descriptor, size_bytes)
            raise

    def _open(self) -> int:
        """Open the file unless that is done; return its size, which a torn line does not end."""
        if self._descriptor >= 0 and not self._is_in_place():
            self._leave()
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, MODE)
            size_bytes = os.fstat(self._descriptor).st_size
            if size_bytes and os.pread(self._descriptor, 1, size_bytes - 1) != b"\n":
                os.write(self._descriptor, b"\n")
        return os.fstat(self._descriptor).st_size

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _put_aside(self) -> None:
        self._leave()
        numbers = range(1, self._settings.files)
        paths = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in numbers)]
        paths[-1].unlink(missing_ok=True)
        for newer, older in reversed([*pairwise(paths)]):
            if newer.exists():
                newer.replace(older)

    def _leave(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_jsonl(settings: Jsonl, *, name: str) -> JsonlSink | JsonlFile:
    """Return what writes to stdout, or to the file of the section."""
    if settings.path is None:
        return JsonlSink(sys.stdout.buffer, settings, name=name)
    return JsonlFile(settings.path, settings, name=name)


def check_jsonl(settings: Jsonl) -> None:
    """Refuse a file that could not be written; nothing is made.

    Raises:
        ConfigError: It is none, or it or its folder is missing or not writable.
    """
    if (path := settings.path) is None:
        return
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        is_file = True
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be looked at: {error}; check the path") from error
    if not is_file:
        raise ConfigError(f"{path}: expected a file, found something else; give its whole path")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: its folder is missing; type: mkdir -p {path.parent}")
    # Putting a file aside needs the folder, whatever the file allows.
    if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ConfigError(
            f"{path}: may not be written by this user; check with: ls -ld {path.parent}"
        )
