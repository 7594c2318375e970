"""Which board is this? Told from its device tree, not from the model text, which is free prose."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from boards.profile import Profile

COMPATIBLE = "proc/device-tree/compatible"
MODEL = "proc/device-tree/model"
MEMINFO = "proc/meminfo"
# Far over any board's list of strings; it bounds what is read from a foreign file.
MAX_BYTES = 65536
UNKNOWN = "unknown"
SIXTY_FOUR = "edge-vision needs a 64-bit system, as its packages have no other builds"
# Python's, as `uname -m` tells of the kernel only, which may be wider than all that runs on it.
MAX_64_BIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Board:
    """The machine that was looked at.

    Attributes:
        profile: What it is; `None` for a machine that nothing runs on.
        reason: Why that profile was chosen, or none.
        compatible: Its device-tree strings, most special first; empty without a device tree.
        model: The board's own text, for show only.
        cores: CPU cores of the machine that runs this program.
        ram_mib: Memory that the kernel sees, MiB; `None` where it does not say.
    """

    profile: Profile | None
    reason: str
    compatible: tuple[str, ...]
    model: str
    cores: int
    ram_mib: int | None

    @property
    def name(self) -> str:
        """The profile's name, or `unknown`."""
        return self.profile.name if self.profile else UNKNOWN


def detect(root: Path, profiles: Iterable[Profile]) -> Board:
    """Look at the machine whose file system is at `root`, and choose its profile."""
    if not root.is_dir():
        raise ConfigError(f"{root}: expected the root folder of a system, found no such folder")
    compatible = strings(root / COMPATIBLE)
    profile, reason = choose(compatible, profiles)
    if sys.maxsize < MAX_64_BIT:
        profile, reason = None, f"its system is 32-bit ({platform.machine()}): {SIXTY_FOUR}"
    return Board(
        profile=profile,
        reason=reason,
        compatible=compatible,
        model=" ".join(strings(root / MODEL)),
        cores=os.cpu_count() or 1,
        ram_mib=_ram_mib(root / MEMINFO),
    )


def choose(
    compatible: tuple[str, ...], profiles: Iterable[Profile], *, machine: str = ""
) -> tuple[Profile | None, str]:
    """Return the profile, and the reason: the board's, its chip's, or that of any such machine.

    `compatible` has the most special string first; `machine` is as `uname -m` prints it, this one's
    where it is empty.
    """
    machine = machine or platform.machine()
    profiles = tuple(profiles)
    reason = f"there is no device tree at /{COMPATIBLE}, as on a PC"
    if compatible:
        profile, reason = _named(compatible, profiles)
        if profile:
            return profile, reason
    for profile in profiles:
        if not profile.compatible and profile.machine == machine:
            return profile, f"{reason}, and its processor is {machine}"
    return None, f"{reason}, and no profile fits the processor {machine}: {SIXTY_FOUR}"


def _named(
    compatible: tuple[str, ...], profiles: tuple[Profile, ...]
) -> tuple[Profile | None, str]:
    for profile in profiles:
        wanted = _matching(profile, compatible)
        if wanted:
            return profile, f"its device tree says {wanted}"
    for profile in profiles:
        shared = [soc for soc in profile.soc if soc in compatible]
        if shared:
            return profile, f"no profile names {compatible[0]}, but its chip is {shared[0]}"
    return None, f"no profile names {compatible[0]} or its chip"


def _matching(profile: Profile, compatible: tuple[str, ...]) -> str:
    """Return the string of `compatible` that names this board, or the empty string."""
    if profile.match == "exact":
        return compatible[0] if compatible[0] in profile.compatible else ""
    hits = (text for text in compatible if any(part in text for part in profile.compatible))
    return next(hits, "")


def strings(path: Path) -> tuple[str, ...]:
    """Return the NUL-separated strings of a device-tree property; none if it is absent."""
    text = _read(path).decode("utf-8", "replace")
    return tuple(part for part in text.split("\0") if part)


def _ram_mib(path: Path) -> int | None:
    found = re.search(
        r"^MemTotal:\s+(\d{1,15}) kB$", _read(path).decode("ascii", "replace"), re.MULTILINE
    )
    return int(found[1]) // 1024 if found else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise ConfigError(f"{path}: expected a readable file, found: {reason}") from error
