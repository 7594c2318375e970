"""Lays wheels out in an environment, as pip would.

Which ones is known since the bundle was made, and their bytes were held to its list. pip, run out
of its own wheel, took 110 s of an emulated Raspberry Pi's CPU for it; unpacking is 12 of those.
Source: PyPA, binary distribution format 1.0 and entry points specification.
"""

from __future__ import annotations

import configparser
import os
import shutil
import zipfile
from typing import TYPE_CHECKING

from boards.device import files
from boards.device.bundle import SAFE
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "#!{python}\nimport sys\nfrom {module} import {name}\n\nsys.exit({name}())\n"
# Of a folder NAME.data, what lies where; headers are of no use on a board.
SCHEMES = {"purelib": "{site}", "platlib": "{site}", "scripts": "bin", "data": "."}
ANYBODY_RUNS = 0o111


def lay_out(wheel: Path, venv: Path, *, python: str) -> None:
    """Lay a wheel out; its files are the caller's to force to the disk.

    Args:
        wheel: Its bytes are known to be the right ones.
        venv: An environment that is not in use yet.
        python: Path of its interpreter, as the board sees it.

    Raises:
        BoardError: It is no wheel.
    """
    site = next(venv.glob("lib/python3*/site-packages"))
    try:
        with zipfile.ZipFile(wheel) as packed:
            for entry in packed.infolist():
                if not entry.is_dir():
                    path = _place(entry.filename, site, venv)
                    _lay(packed, entry, path, python=python if path.parent == venv / "bin" else "")
            for name in packed.namelist():
                if name.endswith(".dist-info/entry_points.txt"):
                    _programs(packed.read(name).decode(), venv / "bin", python)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, configparser.Error) as error:
        raise BoardError(
            f"{wheel.name}: expected a wheel, found: {error}; make the bundle again with "
            "`edge-board bundle`"
        ) from error


def write_program(path: Path, *, python: str, module: str, name: str) -> None:
    """Write the program of an entry point."""
    text = PROGRAM.format(python=python, module=module, name=name)
    files.write_new(path, text.encode(), 0o755)


def _place(name: str, site: Path, venv: Path) -> Path:
    if not SAFE.fullmatch(name):
        raise ValueError(f"a file named {name!r}")
    top, _, rest = name.partition("/")
    if not top.endswith(".data"):
        return site / name
    scheme, _, rest = rest.partition("/")
    if scheme not in SCHEMES:
        raise ValueError(f"a file of the kind {scheme!r}")
    return venv / SCHEMES[scheme].format(site=site) / rest


def _lay(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, *, python: str) -> None:
    """Write a file, of which zipfile compares the checksum as it reads; `python` is a program's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_run = python or entry.external_attr >> 16 & ANYBODY_RUNS
    with packed.open(entry) as source, path.open("wb") as target:
        if python:
            first = source.readline()
            target.write(f"#!{python}\n".encode() if first.startswith(b"#!python") else first)
        shutil.copyfileobj(source, target, files.CHUNK_BYTES)
        os.fchmod(target.fileno(), 0o755 if is_run else 0o644)


def _programs(text: str, folder: Path, python: str) -> None:
    points = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    points.optionxform = str  # type: ignore[assignment,method-assign] # names have capitals
    points.read_string(text)
    for section in ("console_scripts", "gui_scripts"):
        for command, point in points[section].items() if section in points else ():
            module, _, name = point.partition("[")[0].strip().partition(":")
            write_program(folder / command, python=python, module=module, name=name)
