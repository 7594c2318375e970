"""The modules of a bundle's wheels, compiled here: a small board would take minutes for it.

They are a wheel of their own, laid out beside the others. Python takes them by their names, and
compares neither times nor digests with the sources (PEP 552, unchecked): the files of an
environment never change, and a board without a clock does not know the time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from boards import own_wheel
from boards.device.environments import BYTECODE, NOT_COMPILED

if TYPE_CHECKING:
    from collections.abc import Iterable

ABSENT = (
    "no Python {python} is here to compile the modules with: the board does it as it installs, "
    "which takes a small one minutes"
)
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: edge-board\nRoot-Is-Purelib: true\nTag: {tag}\n"
# As `-I -m compileall`, which would not hear of a fixed PYTHONHASHSEED.
COMPILE = "import sys; sys.path.remove(''); from compileall import main; sys.exit(not main())"
SAYS = "import sys; print('%d.%d %s' % (*sys.version_info[:2], sys.implementation.name))"


def make(folder: Path, names: Iterable[str], python: str) -> Path | None:
    """Write the wheel, whose bytes depend on the others and on the Python only.

    Args:
        folder: Of the wheels, where it goes too.
        names: Of those that count.
        python: Version of the board's, such as `3.13`.

    Returns:
        Its path; `None` where that Python is not here.
    """
    program = _interpreter(python)
    if not program:
        return None
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            with zipfile.ZipFile(folder / name) as packed:
                packed.extractall(
                    place, [each for each in packed.namelist() if each.endswith(".py")]
                )
        # A package may bring files that no Python compiles: whoever needs one is told as it runs.
        subprocess.run(
            [program, "-s", "-c", COMPILE, "-q", "-s", place, "-x", NOT_COMPILED,
             "--invalidation-mode", "unchecked-hash", place],
            check=False, capture_output=True, env={"PYTHONHASHSEED": "0"},
        )  # fmt: skip
        return _packed(folder, Path(place), f"cp{python.replace('.', '')}-none-any")


def _interpreter(python: str) -> str:
    """Return a program that is that Python; empty without one."""
    for program in filter(None, (sys.executable, shutil.which(f"python{python}"))):
        done = subprocess.run(
            [program, "-I", "-c", SAYS], capture_output=True, text=True, check=False
        )
        if done.stdout.strip() == f"{python} cpython":
            return program
    return ""


def _packed(folder: Path, place: Path, tag: str) -> Path:
    version = own_wheel.version()
    wheel = folder / f"{BYTECODE}-{version}-{tag}.whl"
    info = f"{BYTECODE}-{version}.dist-info"
    found = {f"{info}/METADATA": METADATA.format(name=BYTECODE, version=version).encode()}
    found[f"{info}/WHEEL"] = WHEEL.format(tag=tag).encode()
    compiled = sorted(place.rglob("*.pyc"))
    found |= {str(each.relative_to(place)): each.read_bytes() for each in compiled}
    own_wheel.pack(wheel, info, found)
    return wheel
