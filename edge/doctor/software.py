"""Python, its packages, and the configuration."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib import metadata

from edge.doctor.host import INSTALL, Finding, Host, absent, ok, warning, wrong
from edge.terminal.version import versions

OLDEST = (3, 10)
NEWEST = (3, 14)
ELSEWHERE = "of the system that runs this program"
# cv2 and the runtime are compiled against one NumPy each. A child says each line at once, so that
# what a crash ended is the one after the last.
IMPORTS = """
import importlib, sys
for name in ("numpy", "cv2", "edge.preprocess", "edge.model.backends.litert"):
    module = importlib.import_module(name)
    print(name, getattr(module, "__version__", ""), flush=True)
"""
IMPORT_TIMEOUT_S = 8.0
RUNTIMES = ("ai-edge-litert", "tflite-runtime")


def python(host: Host) -> Finding:
    """Look at the interpreter, and whether it is of 64 bit."""
    if not host.is_live:
        return absent(ELSEWHERE)
    said = f"Python {platform.python_version()}, {sys.maxsize.bit_length() + 1} bit, {sys.prefix}"
    if sys.maxsize < 2**32:
        return wrong(said, "write the 64-bit system to the card: edge-board flash --help")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return warning(said, "make the environment with a Python from 3.10 to 3.14: docs/boards.md")
    return ok(said)


def packages(host: Host) -> Finding:
    """Look for each package that the base install needs."""
    if not host.is_live:
        return absent(ELSEWHERE)
    needed = [line for line in metadata.requires("edge-vision") or () if "extra ==" not in line]
    if sys.version_info >= (3, 11):
        needed = [line for line in needed if "python_version <" not in line]
    names = [re.split(r"[^\w.-]", line)[0] for line in needed]
    here = versions([*names, *RUNTIMES])
    missing = [name for name in names if name not in here]
    if RUNTIMES[0] in missing and RUNTIMES[1] in here:
        missing.remove(RUNTIMES[0])
    if missing:
        mend = f"{sys.executable} -m pip install {' '.join(missing)}"
        return wrong(f"missing: {', '.join(missing)}", f"{mend}; or {INSTALL}")
    return ok(f"all {len(names)}; edge-vision {metadata.version('edge-vision')}")


def imports(host: Host) -> Finding:
    """Import NumPy, OpenCV and the runtime together, in a child that may crash of it."""
    if not host.is_live:
        return absent(ELSEWHERE)
    command = [sys.executable, "-c", IMPORTS]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        said = f"not imported within {IMPORT_TIMEOUT_S:g} s"
        return warning(said, "see what else is at work: top; and errors of the card: dmesg")
    imported = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    if done.returncode == 0:
        runtime = next((f"{name} {of}" for name, of in versions(RUNTIMES).items()), "")
        return ok(f"NumPy {imported['numpy']}, OpenCV {imported['cv2']}, {runtime}")
    said = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        said = f"killed by signal {-done.returncode}; this processor may lack what it was built for"
    mend = f"{sys.executable} -m pip install --force-reinstall numpy opencv-python-headless "
    mend += f"ai-edge-litert (beside tflite-runtime 'numpy<2'); or {INSTALL}"
    return wrong(f"behind {', '.join(imported) or 'the start'}: {said}", mend)


def configuration(host: Host) -> Finding:
    """Say what `edge check` says of all but the model, which takes a board too long."""
    if faults := host.faults():
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return wrong(f"{faults[0]}{more}", "edge check CONFIG names all")
    if host.config is None:
        return absent("none at /etc/edge/device.toml; name one: edge doctor CONFIG")
    names = ", ".join(camera.name for camera in host.config.cameras)
    return ok(f"no faults; device {host.config.device.name}, camera {names}")
