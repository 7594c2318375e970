"""Events on the disk until they are delivered: they outlive a restart, a kill and a power cut."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Literal

import msgspec

from edge.messages.envelope import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

log = logging.getLogger("edge.sinks")

# Before each record: the length of its body and the CRC-32 of that, little-endian.
HEADER = struct.Struct("<II")
# A file is begun anew when it holds so much more than twice what is still to be delivered.
SLACK_BYTES = 64 * 1024
OVERHEAD_BYTES = 64
RETRY_S, JOIN_S = 60.0, 5.0


class _Record(msgspec.Struct, array_like=True):
    """An event; without a topic, that the event of this number is done."""

    number: int
    topic: str = ""
    payload: bytes = b""
    qos: Literal[0, 1] = 1
    retain: bool = False
    correlation: bytes = b""


class Journal:
    """A file that grows by a record for each event and by one once it is done.

    A record is written before `append` returns, so that it outlives this process, and the thread
    `edge-spool` syncs it at once: a power cut takes what was accepted while that took. That an
    event is done is not synced alone, and so the last ones may come again after one.

    A file that is large for what is left is begun anew with that; the older is deleted once the
    newer is on the disk. All files of the folder count when it is opened, each as far as its
    records are whole, so that a cut at any moment loses none.

    A disk that fails is told once and tried again every `RETRY_S`; what waits by then is written.
    Files that could not be read at the opening are left for the next one.

    Args:
        folder: Of this journal alone; another process that has it open keeps it.
        limit_bytes: What the outbox may let wait; files take up to three times that for a moment.
        clock: Seconds, for the next try.

    Attributes:
        live: Events that are not done, by a number that no other run gives, the oldest first.
    """

    def __init__(
        self, folder: Path, *, limit_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.live: dict[int, Message] = {}
        self.limit_bytes = limit_bytes
        self._folder = folder
        self._clock = clock
        self._number = secrets.randbits(62)
        self._generation = 0
        self._guard = self._file = -1
        self._path: Path | None = None
        # The last one whose name is on the disk.
        self._named: Path | None = None
        self._size_bytes = self._live_bytes = 0
        self._outdated: list[Path] = []
        self._retry_at = 0.0
        self._is_told = self._closing = False
        self._lock = threading.Lock()
        self._due = threading.Event()
        try:
            self._recover()
        except OSError as error:
            self._fail(error)
        self._thread = threading.Thread(target=self._sync_when_due, name="edge-spool", daemon=True)
        self._thread.start()

    def append(self, message: Message) -> int:
        """Write an event; return its number."""
        with self._lock:
            self._number += 1
            self.live[self._number] = message
            self._live_bytes += _cost(message)
            self._put(_record(self._number, message))
            return self._number

    def done(self, number: int) -> None:
        """Write that an event was delivered or given up."""
        with self._lock:
            self._live_bytes -= _cost(self.live.pop(number))
            if self._size_bytes > 2 * self._live_bytes + SLACK_BYTES:
                self._try(self._begin)
            elif self._file >= 0:
                self._put(_Record(number))

    def close(self) -> int:
        """Sync what is written; return how many events the disk keeps for the next time."""
        self._closing = True
        self._due.set()
        self._thread.join(JOIN_S)
        with self._lock:
            kept = len(self.live) if self._file >= 0 else 0
            for file in (self._file, self._guard):
                if file >= 0:
                    os.close(file)
            self._file = self._guard = -1
            return kept

    def _recover(self) -> None:
        paths = self._claim()
        for path in paths:
            self._take_in(path)
        self._outdated = paths
        if paths:
            self._begin()

    def _claim(self) -> list[Path]:
        """Take the folder for this process; return its files, the oldest first."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._guard = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._retry_at = float("inf")  # what the other one writes is not ours to read
            raise OSError(error.errno, "another process has it open") from error
        paths = sorted(self._folder.glob(f"events-{'[0-9]' * 8}"))
        self._generation = int(paths[-1].name.partition("-")[2]) if paths else 0
        return paths

    def _take_in(self, path: Path) -> None:
        data = path.read_bytes()
        end = 0
        for end, record in _records(data):  # noqa: B007 - the last one is read below
            if not record.topic:
                self.live.pop(record.number, None)
            elif record.number not in self.live:
                fields = record.topic, record.payload, record.qos, record.retain
                self.live[record.number] = Message(*fields, "event", correlation=record.correlation)
        self._live_bytes = sum(map(_cost, self.live.values()))
        if end < len(data):
            log.warning(
                "spool: the last %d bytes of %s are no whole record, as a power cut leaves them; "
                "left out",
                *(len(data) - end, path),
            )

    def _put(self, record: _Record) -> None:
        if self._file < 0:
            self._try(self._begin)
        else:
            self._try(lambda: self._write(record))

    def _try(self, step: Callable[[], None]) -> None:
        """Write to a disk, unless it failed a moment ago."""
        if self._closing or (self._file < 0 and self._clock() < self._retry_at):
            return
        try:
            step()
        except OSError as error:
            self._fail(error)
        else:
            self._due.set()
            if self._is_told:
                self._is_told = False
                log.info("spool: %s is written again, with all that waits", self._folder)

    def _begin(self) -> None:
        """Begin a file that holds what is not done, in the place of the one before."""
        if self._guard < 0:
            self._claim()
        self._generation += 1
        path = self._folder / f"events-{self._generation:08d}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        before, self._file = self._file, os.open(path, flags, 0o600)
        if before >= 0:
            os.close(before)
        self._outdated += [self._path] if self._path else []
        self._path, self._size_bytes = path, 0
        try:
            for number, message in self.live.items():
                self._write(_record(number, message))
        except OSError as error:
            self._path = None
            path.unlink(missing_ok=True)
            held_bytes = sum(each.stat().st_size for each in self._outdated if each.exists())
            if error.errno != errno.ENOSPC or held_bytes < self._live_bytes:
                raise
            # The older ones are in the way: most of what they hold is done.
            while self._outdated:
                self._outdated.pop().unlink(missing_ok=True)
            self._begin()

    def _write(self, record: _Record) -> None:
        body = msgspec.msgpack.encode(record)
        data = HEADER.pack(len(body), zlib.crc32(body)) + body
        if os.write(self._file, data) < len(data):
            raise OSError(errno.ENOSPC, "no space for a whole record")
        self._size_bytes += len(data)

    def _fail(self, error: OSError) -> None:
        """Go on without the disk; the file that failed still counts when it is opened again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._retry_at = max(self._retry_at, self._clock() + RETRY_S)
        if not self._is_told:
            self._is_told = True
            log.error(
                "spool: %s can't be used (%s): events wait in memory, where a restart or a power "
                "cut loses them; free or mount the disk, or give it to this user",
                *(self._folder, (error.strerror or str(error)).lower()),
            )

    def _sync_when_due(self) -> None:
        is_last = False
        while not is_last:
            self._due.wait()
            self._due.clear()
            is_last = self._closing
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            if self._file < 0:
                return
            file, path, outdated = os.dup(self._file), self._path, tuple(self._outdated)
        try:
            os.fsync(file)
            if path != self._named:
                _sync_folder(self._folder)
                self._named = path
            for each in outdated:
                each.unlink(missing_ok=True)
            with self._lock:
                self._outdated = [each for each in self._outdated if each not in outdated]
        except OSError as error:
            with self._lock:
                self._fail(error)
        finally:
            os.close(file)


def _records(data: bytes) -> Iterator[tuple[int, _Record]]:
    """Yield where each record ends, and the record, as far as they are whole."""
    end = 0
    while end + HEADER.size <= len(data):
        length, checksum = HEADER.unpack_from(data, end)
        start, end = end + HEADER.size, end + HEADER.size + length
        body = data[start:end]
        # A page that a power cut left empty reads as records of no bytes, whose CRC-32 is 0.
        if not length or len(body) < length or zlib.crc32(body) != checksum:
            return
        with contextlib.suppress(msgspec.DecodeError):  # another version's
            yield end, msgspec.msgpack.decode(body, type=_Record)


def _cost(message: Message) -> int:
    """Return more than what the record of an event takes, bytes."""
    return len(message.payload) + 4 * len(message.topic) + len(message.correlation) + OVERHEAD_BYTES


def _record(number: int, message: Message) -> _Record:
    fields = message.topic, message.payload, message.qos, message.retain, message.correlation
    return _Record(number, *fields)


def _sync_folder(folder: Path) -> None:
    """Have the names of new files outlive a power cut as well."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
