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
from edge.sensors import governors, text_of

# What says which board this is: of boards with a device tree, then of PCs.
BOARD_FILES = ("proc/device-tree/model", "sys/class/dmi/id/product_name")


def describe(root: Path = Path("/")) -> Host:
    """Return the description of the machine whose `proc`, `sys` and `etc` lie here."""
    cpu = _cpu(root)
    cores = len(available_cores())
    runtime = runtime_name().replace("_", "-")
    return Host(
        board=next(filter(None, (text_of(root / name) for name in BOARD_FILES)), cpu),
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
        r"^(?:model name|Model)\s*:\s*(.+)$", text_of(root / "proc/cpuinfo"), re.MULTILINE
    )
    return f"{match[1].strip()} ({platform.machine()})" if match else platform.machine()


def _os(root: Path) -> str:
    match = re.search(
        r'^PRETTY_NAME="?([^"\n]+)"?$', text_of(root / "etc/os-release"), re.MULTILINE
    )
    return match[1] if match else platform.system()
