"""What a figure was measured on, in the words of the machine."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from edge.benchmark.result import Host
from edge.cores import available_cores
from edge.model.backends.litert import runtime_name
from edge.sensors import governors

# What says which board this is: of boards with a device tree, then of PCs.
BOARD_FILES = ("proc/device-tree/model", "sys/class/dmi/id/product_name")


def describe(root: Path = Path("/")) -> Host:
    """Return the description of the machine whose `proc`, `sys` and `etc` lie here."""
    cpu = _cpu(root)
    cores = len(available_cores())
    runtime = runtime_name().replace("_", "-")
    return Host(
        board=next(filter(None, (_read(root / name) for name in BOARD_FILES)), cpu),
        os=_os(root),
        kernel=platform.release(),
        cpu=cpu,
        cores=cores,
        python=platform.python_version(),
        runtime=f"{runtime} {version(runtime)}",
        version=version("edge-vision"),
        governor=", ".join(governors(root)),
        load=round(os.getloadavg()[0], 2),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _cpu(root: Path) -> str:
    match = re.search(
        r"^(?:model name|Model)\s*:\s*(.+)$", _read(root / "proc/cpuinfo"), re.MULTILINE
    )
    return f"{match[1].strip()} ({platform.machine()})" if match else platform.machine()


def _os(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', _read(root / "etc/os-release"), re.MULTILINE)
    return match[1] if match else platform.system()


def _read(path: Path) -> str:
    """Return what a file says; a device tree's text ends with a NUL."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""
