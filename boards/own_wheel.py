"""This project as a wheel: built from its source, or put together from what is installed."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import DependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = "edge-vision"
SOURCE = Path(__file__).resolve().parents[1]
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
# The first time that a zip can hold; of files whose own time says nothing.
ZIP_EPOCH = 315532800
INSTALLERS_OWN = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def make(folder: Path) -> Path:
    """Write the wheel into a folder; the same files give the same bytes.

    Raises:
        DependencyError: There is no pip to build it, or nothing to build it from.
    """
    return _built(folder) if (SOURCE / "pyproject.toml").is_file() else _packed(folder)


def _built(folder: Path) -> Path:
    """Build it from a copy: setuptools leaves folders behind, and takes up what it left before."""
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place, "source")
        unwanted = shutil.ignore_patterns("__pycache__", "*.py[co]")
        for package in ("edge", "converter", "calibration", "boards"):
            shutil.copytree(SOURCE / package, copied / package, ignore=unwanted)
        for name in BUILT_FROM:
            shutil.copy(SOURCE / name, copied)
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
        # With the setuptools that is here, where there is one: it needs no network.
        if _has_setuptools():
            command.append("--no-build-isolation")
        done = subprocess.run(
            [*command, "--disable-pip-version-check", str(copied)],
            env={"SOURCE_DATE_EPOCH": str(ZIP_EPOCH)} | os.environ,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise DependencyError(f"pip cannot build {PROJECT} from {SOURCE}: {reason}")
    return next(folder.glob("edge_vision-*.whl"))


def _has_setuptools() -> bool:
    try:
        return int(metadata.version("setuptools").partition(".")[0]) >= 77  # noqa: PLR2004 - pyproject.toml's
    except metadata.PackageNotFoundError:
        return False


def _packed(folder: Path) -> Path:
    """Put together again what pip has laid out. Source: PyPA, binary distribution format."""
    found = next(iter(metadata.distributions(name=PROJECT)), None)
    entries = sorted((found and found.files) or (), key=str)
    if not found or Path(__file__).name not in {entry.name for entry in entries}:
        raise DependencyError(
            f"{PROJECT}: expected what pip has installed, or its source, found neither; type: "
            "pip install . in a checkout"
        )
    info = f"edge_vision-{found.version}.dist-info"
    wheel = folder / f"edge_vision-{found.version}-py3-none-any.whl"
    # Programs are made anew of entry_points.txt.
    kept = {
        str(entry): Path(str(found.locate_file(entry))).read_bytes()
        for entry in entries
        if not str(entry).startswith("..")
        and entry.suffix != ".pyc"
        and entry.name not in INSTALLERS_OWN
    }
    pack(wheel, info, kept)
    return wheel


def pack(wheel: Path, info: str, contents: Mapping[str, bytes]) -> None:
    """Write a wheel of these files, whose bytes depend on them only.

    Args:
        wheel: Its path.
        info: Its folder of metadata, which gets the list of all others.
        contents: Names and bytes.
    """
    lines = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in contents.items():
            packed.writestr(_entry(name), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            lines.append(f"{name},sha256={digest.decode()},{len(data)}\n")
        packed.writestr(_entry(f"{info}/RECORD"), "".join([*lines, f"{info}/RECORD,,\n"]))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return entry


def version() -> str:
    """Return this project's version."""
    return metadata.version(PROJECT)
