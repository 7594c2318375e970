"""Wheels for a board: fetched for its Python and processor, and held to what it needs."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge.errors import DependencyError, EdgeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from email.message import Message
    from pathlib import Path
    from typing import IO

    from packaging.tags import Tag
    from packaging.version import Version

    from boards.profile import Profile

# glibc of manylinux2014, the oldest for which these packages have wheels.
OLDEST_GLIBC = 17
# 64 bits, little-endian; the header, a row of its table, and the kind of row that is loaded.
ELF_64, HEAD_BYTES, ROW_BYTES, LOAD = b"\x7fELF\x02\x01", 64, 56, b"\1\0\0\0"
KIB = 1024
# Debian 12's picamera2 needs modules that were built for numpy 1, and the environment's numpy is
# before the system's: of numpy 2 they say "numpy.dtype size changed". Debian 13 has numpy 2 itself.
DEBIAN_12, NUMPY_1 = "3.11", "<2"
# Each round fetches what the last one's packages need on the board, and did not need here.
ROUNDS = 5
UNREACHABLE = ("Retrying", "Connection", "resolve", "timed out", "SSL")


class WheelError(EdgeError, ValueError):
    """Wheels for a board cannot be had, or do not fit it."""


@dataclass(frozen=True)
class Target:
    """The Python of a board.

    Attributes:
        python: Its version, such as `3.13`.
        profile: The board's.
    """

    python: str
    profile: Profile

    def __str__(self) -> str:
        return f"Python {self.python} on {self.profile.machine}, glibc {self.profile.glibc}"

    @cached_property
    def platforms(self) -> list[str]:
        """Those whose wheels run there, the newest first; pip knows none to hold another."""
        newest = int(self.profile.glibc.partition(".")[2])
        names = [f"manylinux_2_{minor}" for minor in range(newest, OLDEST_GLIBC - 1, -1)]
        return [f"{name}_{self.profile.machine}" for name in (*names, "manylinux2014", "linux")]

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """What a wheel's name may say for it to install there."""
        from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415

        major, minor = (int(part) for part in self.python.split("."))
        found = [*cpython_tags((major, minor), platforms=self.platforms)]
        interpreter = f"cp{major}{minor}"
        return frozenset([*found, *compatible_tags((major, minor), interpreter, self.platforms)])

    def needs(self, requirement: str, *, extra: str = "") -> bool:
        """Whether a line `Requires-Dist` counts there, which is not where this runs."""
        from packaging.requirements import Requirement  # noqa: PLC0415

        marker = Requirement(requirement).marker
        environment = {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "platform_machine": self.profile.machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "extra": extra,
        }
        return marker is None or marker.evaluate(environment)


def fetch(own: Path, folder: Path, target: Target, *, source: Path | None) -> list[str]:
    """Lay everything beside our own wheel that it needs on the board.

    Args:
        own: Our wheel, in `folder`.
        folder: Where they go.
        target: Of the board.
        source: A folder of wheels; `None` asks the package index that pip is set up for.

    Returns:
        The names of those in the folder that are for this target, the newest of each package.

    Raises:
        WheelError: A package has no wheel for it.
        DependencyError: pip or packaging is missing, or pip reaches no index.
    """
    if not find_spec("packaging"):
        raise DependencyError("bundles need packaging; type: pip install 'edge-vision[bundle]'")
    is_alone = False
    for _ in range(ROUNDS):
        missing = list(_missing(folder, target))
        if not missing:
            return sorted(name for _, _, name in _held(folder, target).values())
        try:
            _download(missing, folder, target, source=source, alone=is_alone)
        except WheelError:
            # pip follows what the Python that runs it needs: some of that may have no wheel there.
            if is_alone:
                raise
            _download(missing, folder, target, source=source, alone=True)
        is_alone = True
    raise WheelError(f"{own.name}: found no wheel of {missing[0]} for {target}")


def _download(
    requirements: Iterable[str], folder: Path, target: Target, *, source: Path | None, alone: bool
) -> None:
    """Have pip fetch packages, and on a terminal draw how far it is."""
    is_seen = sys.stderr.isatty()
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
        *("--dest", str(folder), "--only-binary=:all:", "--implementation", "cp"),
        *("--python-version", target.python),
        *("--abi", f"cp{target.python.replace('.', '')}", "--abi", "abi3", "--abi", "none"),
        *(word for name in target.platforms for word in ("--platform", name)),
        *(("--no-index", "--find-links", str(source)) if source else ()),
        *(("--no-deps",) if alone else ()),
        *requirements,
    ]
    done = subprocess.run(
        command, stdout=sys.stderr if is_seen else subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise _refusal(done.stderr, target, source)


def _refusal(said: str, target: Target, source: Path | None) -> EdgeError:
    """Return what went wrong, as a sentence; pip says much."""
    if "No module named pip" in said:
        return DependencyError(f"{sys.executable} has no pip; type: {sys.executable} -m ensurepip")
    found = re.search(r"No matching distribution found for (.+)", said)
    if any(word in said for word in UNREACHABLE):
        return DependencyError(
            "pip cannot reach its package index; check the network, or take the wheels from a "
            "folder: --wheels DIR"
        )
    if found:
        package = re.match(r"[\w.-]+", found[1])
        return WheelError(
            f"{package[0] if package else found[1]}: found no wheel for {target} "
            f"{f'in {source}' if source else 'on the package index'}; choose another Python that "
            f"the board's system has: --python {' or '.join(target.profile.python)}"
        )
    return WheelError(f"pip: {(said.strip().splitlines() or ['failed without a word'])[-1]}")


def _held(folder: Path, target: Target) -> dict[str, tuple[Version, Message, str]]:
    """Return, of each package in a form for the board, the newest: version, metadata, file."""
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415

    held: dict[str, tuple[Version, Message, str]] = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version, _, tags = parse_wheel_filename(wheel.name)
        lines = _metadata(wheel)
        is_for = SpecifierSet(lines.get("Requires-Python", "")).contains(f"{target.python}.0")
        if not is_for or tags.isdisjoint(target.tags):
            continue
        if name not in held or version > held[name][0]:
            held[name] = (version, lines, wheel.name)
    return held


def _missing(folder: Path, target: Target) -> Iterator[str]:
    """Yield what packages in a folder need that it does not hold in a form for the board."""
    from packaging.requirements import Requirement  # noqa: PLC0415
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    held, seen = _held(folder, target), set()
    for _, lines, _ in held.values():
        for line in lines.get_all("Requires-Dist") or ():
            wanted = Requirement(line)
            is_numpy = wanted.name == "numpy" and target.python == DEBIAN_12
            if is_numpy and "picamera" in target.profile.cameras:
                wanted.specifier &= SpecifierSet(NUMPY_1)
            if not target.needs(line) or line in seen:
                continue
            seen.add(line)
            found = held.get(canonicalize_name(wanted.name))
            if not found or not wanted.specifier.contains(found[0], prereleases=True):
                yield f"{wanted.name}{wanted.specifier}"


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as packed:
        name = next(each for each in packed.namelist() if each.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(packed.read(name).decode())


def check_pages(folder: Path, profile: Profile) -> int:
    """Hold each native library to the board's pages; return how many there are.

    A segment that is aligned to less cannot be mapped by a kernel with such pages.

    Raises:
        WheelError: One is not.
    """
    count = 0
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            for name in packed.namelist():
                with packed.open(name) as file:
                    least = _alignment(file) if file.read(6) == ELF_64 else None
                count += least is not None
                if least is not None and least < profile.page_kib * KIB:
                    raise WheelError(
                        f"{wheel.name}: {name} is aligned to {least // KIB} KiB, and "
                        f"{profile.title} may have pages of {profile.page_kib} KiB; take another "
                        "version of the package"
                    )
    return count


def _alignment(file: IO[bytes]) -> int | None:
    """Return the least alignment of the segments that an ELF file loads; `None` without any.

    Source: elf(5), Elf64_Ehdr and Elf64_Phdr, little-endian.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES).ljust(HEAD_BYTES, b"\0")
    (at,), (size, number) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
    # Whoever patches a library moves its table to the end.
    file.seek(at)
    table = file.read(size * number)
    rows = (table[start : start + size] for start in range(0, len(table), size or 1))
    rows = (row for row in rows if len(row) >= ROW_BYTES and row.startswith(LOAD))
    return min((struct.unpack_from("<Q", row, 48)[0] for row in rows), default=None)
