"""What a power cut leaves on a card, worked out from a log of all that was written to it.

QEMU's blklogwrites keeps every write and every flush in their order. A disk has a cache of its own:
what it was told to flush before the cut is there; of what came after the last flush, each block of
4 KiB is there or not, by chance. That is harsher than killing QEMU, which loses nothing that the
kernel had sent. A card that says it has no cache is told to flush nothing, and has all that came.
One recorded boot gives any number of cuts. The log's form: log-writes.rst of Linux.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import stat
import struct
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest.debian import BOOT_AT_MIB, BOOT_MIB, ROOT_AT_MIB, ROOT_MIB
from boardtest.steps import TestFailed, run

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

ENTRY = struct.Struct("<QQQQ")
SECTOR, BLOCK = 512, 4096
FLUSH, FUA, DISCARD = 1, 2, 4
# The longest that e2fsck may say of a file system: 0 sound, 1 mended (its journal was replayed).
SOUND = 1


@dataclass(frozen=True)
class Write:
    """A request to the card: where its data goes, and where in the log it is."""

    at: int
    length: int
    flags: int
    data_at: int


def read_log(path: Path) -> list[Write]:
    """Return the requests of a log, oldest first, without one that was not logged to its end."""
    found, size = [], path.stat().st_size
    with path.open("rb") as file:
        at = SECTOR
        while at + ENTRY.size <= size:
            file.seek(at)
            sector, count, flags, _ = ENTRY.unpack(file.read(ENTRY.size))
            length = 0 if flags & DISCARD else count * SECTOR
            if at + SECTOR + length > size:
                break
            found.append(Write(sector * SECTOR, length, flags, at + SECTOR))
            at += SECTOR + length
    return found


def points(log: Path, span: tuple[int, int], count: int, rng: random.Random) -> list[int]:
    """Return where to cut: each time between two flushes is as likely, however much it wrote.

    Args:
        log: of what was written.
        span: of the log, from a request until before another.
        count: how many.
        rng: chooses.
    """
    writes = list(enumerate(read_log(log)))[slice(*span)]
    flushes = [number for number, write in writes if write.flags & FLUSH]
    if not flushes:
        return rng.sample([number for number, _ in writes], count)
    ends = rng.sample(range(1, len(flushes)), count)
    return [rng.randint(flushes[end - 1] + 1, flushes[end]) for end in ends]


def cut(before: Path, log: Path, after: Path, *, at: int, rng: random.Random) -> int:
    """Write the card as a cut after request `at` leaves it; return how many blocks it lost.

    Args:
        before: the card when the power came on.
        log: of what was written since.
        after: the card that is made.
        at: how many requests of the log had come.
        rng: decides which blocks after the last flush are kept.
    """
    run("cp", "--sparse=always", before, after)
    writes = read_log(log)
    has_cache = any(write.flags & (FLUSH | FUA) for write in writes)
    flushes = [number for number, write in enumerate(writes[:at]) if write.flags & FLUSH]
    flushed = max(flushes, default=-1) if has_cache else at
    lost = 0
    with log.open("rb") as source, after.open("r+b") as target:
        for number, write in enumerate(writes[:at]):
            is_kept = number <= flushed or write.flags & FUA
            for offset in range(0, write.length, BLOCK):
                if not is_kept and rng.random() < 0.5:  # noqa: PLR2004 - as likely as not
                    lost += 1
                    continue
                source.seek(write.data_at + offset)
                target.seek(write.at + offset)
                target.write(source.read(min(BLOCK, write.length - offset)))
    return lost


@contextmanager
def mounted(card: Path) -> Iterator[Path]:
    """Mount a copy of the root of a card, its journal replayed by e2fsck; the card stays as it is.

    Raises:
        TestFailed: e2fsck found what a journal should have prevented.
    """
    with tempfile.TemporaryDirectory(dir=card.parent) as folder:
        copy, place = Path(folder, "root.img"), Path(folder, "root")
        place_in_card = ("bs=1M", f"skip={ROOT_AT_MIB}", f"count={ROOT_MIB}")
        run("dd", f"if={card}", f"of={copy}", *place_in_card, "conv=sparse", "status=none")
        done = subprocess.run(["e2fsck", "-p", copy], capture_output=True, text=True, check=False)
        if done.returncode > SOUND:
            raise TestFailed(f"e2fsck on {card.name}: {done.stdout}{done.stderr}")
        run("e2fsck", "-fn", copy)
        place.mkdir()
        run("mount", "-o", "loop", copy, place)
        try:
            yield place
        finally:
            run("umount", place)


def state(root: Path) -> str:
    """Return the release that a root is at, or `none`; what claims to be complete has to be whole.

    Raises:
        TestFailed: A file of a complete release or environment is not what its list says.
    """
    edge = root / "opt/edge"
    for stamp in edge.glob("releases/*/.complete"):
        _check_release(stamp.parent)
    for stamp in edge.glob("venvs/*/.complete"):
        _check_environment(stamp.parent)
    current = edge / "current"
    if not current.is_symlink():
        return "none"
    release = edge / current.readlink()
    if not (release / ".complete").exists():
        raise TestFailed(f"current is {current.readlink()}, which is not complete")
    return release.name


def content(card: Path, root: Path) -> str:
    """Return a digest of all that a boot is given: the boot partition, and each file of the root.

    Args:
        card: as the cut left it.
        root: its root, mounted.
    """
    digest = hashlib.sha256()
    with card.open("rb") as file:
        file.seek(BOOT_AT_MIB << 20)
        digest.update(file.read(BOOT_MIB << 20))
    for path in sorted(root.rglob("*")):
        seen = path.lstat()
        is_file = stat.S_ISREG(seen.st_mode)
        target = path.readlink() if path.is_symlink() else ""
        # A module that is newer than what was compiled of it is compiled again.
        facts = (seen.st_size, seen.st_mtime_ns) if is_file else ()
        entry = (str(path.relative_to(root)), str(target), seen.st_mode, seen.st_uid, seen.st_gid)
        digest.update(repr(entry + facts).encode() + (path.read_bytes() if is_file else b""))
    return digest.hexdigest()


def _check_release(release: Path) -> None:
    for item in json.loads((release / "bundle.json").read_text())["files"]:
        path = release / item["path"]
        # Wheels are unpacked, not kept; the configuration may be the user's.
        if item["path"].startswith(("wheels/", "install.sh", "device.toml")) and not path.exists():
            continue
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != item["sha256"]:
            raise TestFailed(f"{path} is half there")


def _check_environment(venv: Path) -> None:
    for record in venv.glob("lib/python3*/site-packages/*.dist-info/RECORD"):
        for name, digest, _ in csv.reader(io.StringIO(record.read_text())):
            path = record.parents[1] / name
            if digest and (not path.exists() or _digest(path) != digest):
                raise TestFailed(f"{path} is half there")


def _digest(path: Path) -> str:
    """Return a file's digest as RECORD writes it."""
    found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256={found.decode().rstrip('=')}"
