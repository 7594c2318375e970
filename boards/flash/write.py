"""Writes an image and files to a card and reads every byte back; its first sector comes last.

So a card that was not finished has no partition table, and cannot be taken for one that was.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boards.flash import card_files
from boards.flash.fat import Fat, put
from boards.flash.image import CHUNK, SECTOR, Layout, Source
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from boards.flash.target import Target

    # Of what is done: its name, how much of it, and of how much.
    Told = Callable[[str, int, int], None]

# Where a card is tried beyond the image, and how much is written there.
MARKS, MARK_BYTES = 64, 4096


@dataclass(frozen=True, slots=True)
class Job:
    """What is written.

    Attributes:
        source: The image.
        layout: Of the image.
        files: Contents by path on the boot partition; a path here for what is copied.
    """

    source: Source
    layout: Layout
    files: Mapping[str, bytes | Path]


@contextmanager
def opened(target: Target) -> Iterator[BinaryIO]:
    """Open a target to read and write; a device alone, which one that is mounted refuses.

    Raises:
        BoardError: It cannot be opened, or another device has its name by now.
    """
    is_device = target.size is not None
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if is_device else os.O_CREAT)
    try:
        descriptor = os.open(target.path, flags, 0o600)
    except OSError as error:
        hint = "; type it with sudo" if error.errno == errno.EACCES else ""
        raise BoardError(f"{target.path}: cannot be opened: {error.strerror}{hint}") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as disk:
        if os.fstat(descriptor).st_rdev != target.number:
            raise BoardError(f"{target.path}: another device has this name now; type it again")
        yield disk


@contextmanager
def told(target: Target) -> Iterator[None]:
    """Say of a target that was not written to its end what it holds now.

    Raises:
        BoardError: What stopped it.
    """
    half = (
        f"{target.path} is half written and has no partition table, so boots nothing: write it anew"
    )
    try:
        yield
    except KeyboardInterrupt:
        raise BoardError(f"stopped; {half}") from None
    except BoardError as error:
        raise BoardError(f"{error}\n{half}") from error
    except OSError as error:
        full = "it is full" if error.errno == errno.ENOSPC else str(error.strerror)
        raise BoardError(f"{target.path}: {full}\n{half}") from error


def write(disk: BinaryIO, job: Job, *, size: int | None, progress: Told) -> str:
    """Write a job to a card and read it back; return the image's SHA-256.

    Args:
        disk: Open to read and write.
        job: What is written.
        size: Of the card, in bytes; `None` for a file.
        progress: Is told what is done, of it how much, and of how much.

    Raises:
        BoardError: What is read is not what was written, or the image is damaged.
    """
    put(disk, 0, bytes(SECTOR))
    head, digest, done = b"", hashlib.sha256(), 0
    for chunk in job.source.chunks():
        digest.update(chunk)
        head = head or chunk[:SECTOR]
        put(disk, max(done, SECTOR), chunk if done else chunk[SECTOR:])
        done += len(chunk)
        progress("writing", done, job.source.size)
    marks = [] if size is None else _marks(done, size)
    for at in marks:
        put(disk, at, _mark(at))
    if size is None:
        disk.truncate(done)
    _settle(disk)
    same = _digest(disk, head, done, progress=progress) == digest.hexdigest()
    if not same or any(_at(disk, at, MARK_BYTES) != _mark(at) for at in marks):
        claim = f", though it says that it holds {size / 2**30:.1f} GiB" if size else ""
        raise BoardError(f"the card does not keep what is written to it{claim}; throw it away")
    for at in marks:
        put(disk, at, bytes(MARK_BYTES))
    _write_files(disk, job, progress)
    put(disk, 0, head)
    _settle(disk)
    if _at(disk, 0, SECTOR) != head:
        raise BoardError("the card does not keep its first sector; throw it away")
    return digest.hexdigest()


def _marks(start: int, size: int) -> list[int]:
    """Return where to try a card beyond the image.

    A forged one drops what is written there, or writes it over the image.
    """
    step = (size - start - MARK_BYTES) // MARKS
    return [start + step * index // SECTOR * SECTOR for index in range(1, MARKS + 1) if step > 0]


def _mark(at: int) -> bytes:
    return hashlib.sha256(b"edge-board %d" % at).digest() * (MARK_BYTES // 32)


def _digest(disk: BinaryIO, head: bytes, size: int, *, progress: Told) -> str:
    """Return the SHA-256 of what is on the card, behind a first sector that is not there yet."""
    digest, done = hashlib.sha256(head), len(head)
    disk.seek(done)
    while done < size and (data := disk.read(min(CHUNK, size - done))):
        digest.update(data)
        done += len(data)
        progress("reading back", done, size)
    return digest.hexdigest()


def _at(disk: BinaryIO, at: int, size: int) -> bytes:
    disk.seek(at)
    return disk.read(size)


def _write_files(disk: BinaryIO, job: Job, progress: Told) -> None:
    fat = Fat(disk, job.layout.boot)
    total, done = sum(map(card_files.size, job.files.values())), 0
    for path, data in job.files.items():
        fat.write(path, card_files.contents(data))
        done += card_files.size(data)
        progress("writing files", done, total)
    fat.flush()
    _settle(disk)
    fat = Fat(disk, job.layout.boot)
    for path, data in job.files.items():
        if fat.read(path) != card_files.contents(data):
            raise BoardError(
                f"{path} on the card is not what was written to it; throw the card away"
            )


def _settle(disk: BinaryIO) -> None:
    """Write what the system holds back, and forget it, so that the card itself is read."""
    disk.flush()
    with suppress(io.UnsupportedOperation):  # one in memory, as in tests
        number = disk.fileno()
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
