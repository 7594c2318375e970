"""Every step by which a file changes, so that a power cut leaves the old state or the new one.

Nothing else in `boards.device` writes: what is new is written beside the old, forced to the disk,
and takes its name by rename(2), whose folder is forced to the disk after it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

CHUNK_BYTES = 1 << 20
SCRATCH = ".tmp"
# Written last into a folder that is whole.
STAMP = ".complete"
# What a user can do about an operation that failed.
ADVICE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk is full; free some space",
    errno.EROFS: "the file system is read-only; the card may be worn out",
    errno.EIO: "the disk does not answer; the card may be worn out",
    errno.EACCES: "not allowed; run it with sudo",
    errno.EPERM: "not allowed; run it with sudo",
}


@contextmanager
def told() -> Iterator[None]:
    """Turn a failed operation of the block into a sentence."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        why = ADVICE.get(error.errno or 0, f"{error.strerror or error}; check it")
        raise BoardError(f"{where}{why}, and run this again; what ran before still runs") from error


@contextmanager
def locked(path: Path, *, waits: bool = False) -> Iterator[None]:
    """Be the only one at work for the length of the block; a power cut unlocks as well."""
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BoardError(
                f"another install, update or first boot is at work and holds {path}; wait until "
                "it is over, and run this again"
            ) from error
        yield
    finally:
        os.close(descriptor)


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder and those above it that are missing; `mode` is of the last one."""
    if not path.is_dir():
        make_folder(path.parent)
        with suppress(FileExistsError):
            os.mkdir(path, mode)
        sync(path.parent)


def write(path: Path, data: bytes | Iterable[bytes], mode: int = 0o644) -> None:
    """Write a whole file in the place of one that may be there."""
    new = path.with_name(f".{path.name}{SCRATCH}")
    _write(new, data, mode)
    os.rename(new, path)
    sync(path.parent)


def write_new(path: Path, data: bytes | Iterable[bytes], mode: int = 0o644) -> None:
    """Write a file of a folder that is not in use yet; folders are the caller's to force."""
    os.makedirs(path.parent, exist_ok=True)
    _write(path, data, mode)


def overwrite(path: Path) -> None:
    """Write zeros over a file and delete it; a flash card may keep what was there all the same."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.write(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.unlink(path)
        sync(path.parent)


def blot(path: Path, secret: bytes) -> None:
    """Write stars over a secret in a file; no other byte moves, so a power cut damages nothing."""
    at = path.read_bytes().index(secret)
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, b"*" * len(secret), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def take_away(path: Path) -> None:
    """Delete what another user put there, whatever it is, and follow no link in it."""
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f"{path.name}.{time.time_ns()}")  # where one cannot be deleted
        os.rename(path, aside)
        with suppress(OSError, RecursionError):
            shutil.rmtree(aside)
    else:
        delete(path)


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Name another user's folder so that no link can take its place for the length of the block."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@contextmanager
def plain(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file and nothing else: a pipe would wait, a device may do anything.

    Raises:
        OSError: There is none, or it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def point(link: Path, target: str) -> None:
    """Let a symbolic link point elsewhere, in one step."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    new = link.with_name(f".{link.name}{SCRATCH}")
    delete(new)
    os.symlink(target, new)
    os.rename(new, link)
    sync(link.parent)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name in the same folder."""
    os.rename(old, new)
    sync(new.parent)


def delete(path: Path) -> None:
    """Delete a file or a link, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
        sync(path.parent)


def discard(path: Path) -> None:
    """Delete a folder and all in it; half-deleted it has a name that nobody uses."""
    if path.is_symlink() or not path.is_dir():
        delete(path)
        return
    if path.suffix != SCRATCH:
        scratch = path.with_name(path.name + SCRATCH)
        discard(scratch)
        rename(path, scratch)
        path = scratch
    _delete_tree(path)
    sync(path.parent)


def sync(folder: Path) -> None:
    """Force a folder's names, or a file, to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Force a folder, all folders in it, and their names to the disk."""
    for path, _, _ in os.walk(folder, topdown=False):
        sync(Path(path))


def sync_all(folder: Path) -> None:
    """Force all of a folder's file system to the disk: faster than thousands of files one by one.

    Raises:
        OSError: The disk did not take something of it, which `os.sync` would not tell.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.sync()
        if code := syncfs(descriptor):
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(descriptor)


def syncfs(descriptor: int) -> int:
    """Return the error number that syncfs tells, which it does since Linux 5.8; 0 for none."""
    return ctypes.get_errno() if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) else 0


def chunks(path: Path, *, expected: str = "") -> Iterator[bytes]:
    """Yield a file's bytes; a `BoardError` at the end where its sha256 is not the expected one."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            yield chunk
    if expected and digest.hexdigest() != expected:
        raise BoardError(
            f"{path}: expected the sha256 {expected[:12]}…, found {digest.hexdigest()[:12]}…: it "
            "was damaged on its way; copy the bundle again"
        )


def stamp(folder: Path) -> str:
    """Return what the stamp of a folder says; empty where it has none, so is not whole.

    Raises:
        OSError: It cannot be read: what a worn card does not give now is not half-made.
    """
    try:
        return (folder / STAMP).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def is_file(path: Path) -> bool:
    """Return whether there is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _write(path: Path, data: bytes | Iterable[bytes], mode: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        for chunk in (data,) if isinstance(data, bytes) else data:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fchmod(descriptor, mode)  # whatever the umask is
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _delete_tree(folder: Path) -> None:
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if entry.is_dir(follow_symlinks=False):
            _delete_tree(Path(entry.path))
        else:
            os.unlink(entry.path)
    os.rmdir(folder)
