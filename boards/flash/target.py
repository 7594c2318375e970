"""Where an image may be written: a card or a file, and never the disk that this machine runs on."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

GIB = 1 << 30
SYSTEM = {"/", "/boot", "/boot/firmware", "/boot/efi", "/usr", "/var", "/home"}


@dataclass(frozen=True, slots=True)
class Target:
    """A card, or a file that stands for one.

    Attributes:
        path: As it was named.
        title: For people: its make.
        size: In bytes; `None` for a file, which becomes as large as the image.
        number: Of the device, as the kernel has it.
        marks: What tells it from the next card in the same reader.
    """

    path: Path
    title: str
    size: int | None
    number: int = 0
    marks: tuple[str, ...] = ()


def look(path: Path, *, max_gib: int, internal: bool = False, root: Path = Path("/")) -> Target:
    """Return what stands under a name, if it may be erased.

    Args:
        path: Of a block device, or of a file that is there or not.
        max_gib: What is larger is taken for no card.
        internal: Take a disk that is neither removable nor on USB.
        root: Of the system that is asked what devices are; not of `path`.

    Raises:
        ConfigError: It may not, or it is something else.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if not path.parent.is_dir() or path.absolute().parts[1:2] == ("dev",):
            raise ConfigError(
                f"--to {path}: expected a card's device or a file, found none; "
                "list the devices with: lsblk"
            ) from None
        return Target(path, "a new file", None)
    except OSError as error:
        raise ConfigError(f"--to {path}: cannot look at it: {error.strerror}") from error
    if stat.S_ISREG(status.st_mode):
        return Target(path, "a file, which is replaced", None)
    if not stat.S_ISBLK(status.st_mode):
        found = "a folder" if stat.S_ISDIR(status.st_mode) else "something else"
        raise ConfigError(f"--to {path}: expected a block device or a file, found {found}")
    return _disk(path, status.st_rdev, max_gib=max_gib, internal=internal, root=root)


def _disk(path: Path, number: int, *, max_gib: int, internal: bool, root: Path) -> Target:
    """Return the disk of this device number, if it may be erased."""
    name = f"{os.major(number)}:{os.minor(number)}"
    folder = (root / "sys/dev/block" / name).resolve()
    if (folder / "partition").exists():
        raise ConfigError(
            f"--to {path}: expected a whole card, found a partition of /dev/{folder.parent.name}"
        )
    size = int(_text(folder / "size") or 0) * 512
    make = [_text(folder / "device" / name) for name in ("vendor", "model", "name")]
    # The first counts each medium that was put in, since Linux 5.15.
    marks = tuple(_text(folder / name) for name in ("diskseq", "device/serial", "device/cid"))
    target = Target(path, " ".join(filter(None, make)) or "no make", size, number, marks)
    _refuse_used(target, folder, root)
    if size == 0:
        raise ConfigError(f"--to {path}: expected a card in it, found none")
    if _text(folder / "ro") == "1":
        raise ConfigError(f"--to {path}: the card is write-protected; move its slider")
    if size > max_gib * GIB:
        raise ConfigError(
            f"--to {path}: expected a card of at most {max_gib} GiB, found {target.title} of "
            f"{size / GIB:.0f} GiB; to erase it nevertheless, add --max-gib {-(-size // GIB)}"
        )
    is_card = any(mark in str(folder) for mark in ("/usb", "/mmc", "/virtual/block/loop"))
    if not (is_card or internal or _text(folder / "removable") == "1"):
        raise ConfigError(
            f"--to {path}: expected a card, found {target.title}, a disk inside this machine; "
            "to erase it nevertheless, add --internal"
        )
    return target


def _refuse_used(target: Target, folder: Path, root: Path) -> None:
    """Refuse a disk that is mounted, swapped to, or a part of another.

    Raises:
        ConfigError: It is.
    """
    parts = [folder, *(one.parent for one in folder.glob("*/partition"))]
    holders = [one.name for part in parts for one in part.glob("holders/*")]
    names = {_text(part / "dev"): f"/dev/{part.name}" for part in parts}
    rows = [line.split() for line in _text(root / "proc/self/mountinfo").splitlines()]
    # mountinfo has blanks in names as \040.
    places = [(names[row[2]], row[4].replace("\\040", " ")) for row in rows if row[2] in names]
    mounted = [place for _, place in places]
    swaps = [line.split()[0] for line in _text(root / "proc/swaps").splitlines()[1:]]
    if SYSTEM & set(mounted) or set(names.values()) & set(swaps) or holders:
        raise ConfigError(
            f"--to {target.path}: that is a disk of this machine's own system "
            f"({', '.join([*mounted, *holders]) or 'swap'}), which is never erased"
        )
    if mounted:
        raise ConfigError(
            f"--to {target.path}: it is mounted at {', '.join(mounted)}; "
            f"type: sudo umount {' '.join(sorted({name for name, _ in places}))}"
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
