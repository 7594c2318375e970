"""Which cameras there are, what reads them, and who has them open."""

from __future__ import annotations

import importlib.util
import os
import re
import struct
import sys
from pathlib import Path

from edge.doctor.host import AS_ROOT, UNIT, Finding, Host, absent, ok, warning, wrong

# Of a Pi's camera also the nodes through which libcamera sets it up.
NODES = re.compile(r"/dev/(video\d+|media\d+|v4l-subdev\d+)")
# Source: Linux, include/uapi/linux/videodev2.h.
VIDIOC_QUERYCAP, QUERYCAP_BYTES, DEVICE_CAPS_AT = 0x80685600, 104, 88
VIDIOC_ENUM_FMT, FORMAT_BYTES, FOURCC_AT = 0xC0405602, 64, 44
CAPTURES = 0x1
MOST_FORMATS = 32
BINDINGS = ("libcamera", "picamera2")
PI = {"picamera", "imx500"}


def stack(host: Host) -> Finding:
    """List what reads cameras; what a configured one lacks is told with the configuration."""
    programs = ("rpicam-vid", "libcamera-vid", "gst-launch-1.0")
    found = [name for name in programs if host.program(name)]
    has_bindings = host.is_live and all(importlib.util.find_spec(name) for name in BINDINGS)
    said = ", ".join(["picamera2"] * has_bindings + found) or "no picamera2, rpicam-vid, GStreamer"
    is_systems = bool(host.glob("usr/lib/python3/dist-packages/picamera2"))
    if is_systems and not has_bindings and host.is_live:
        mend = "/usr/bin/python3 -m venv --system-site-packages NEW, and install there"
        said += f"; picamera2 is the system's, and {sys.prefix} does not see it"
        return warning(said, mend) if host.schemes() & PI else ok(said)
    return ok(said) if has_bindings or found else absent(said)


def cameras(host: Host) -> Finding:
    """List what gives frames; a camera that somebody has open is not opened."""
    held = {node for _, node in _open_nodes(host)[0]}
    found = []
    for folder in host.glob("sys/class/video4linux/video*"):
        formats = _formats(f"/dev/{folder.name}", held) if host.is_live else "formats unknown"
        if formats is not None:
            found.append(f"/dev/{folder.name} {host.text(folder / 'name')} ({formats})")
    sources = [camera.source for camera in host.config.cameras] if host.config else []
    wanted = [source.partition(":")[2] for source in sources if source.startswith("v4l2:")]
    paths = [f"/dev/video{place}" if place.isdigit() else place for place in wanted]
    if missing := [path for path in paths if not os.path.lexists(f"{host.root}/{path}")]:
        said = f"no {', '.join(missing)}; there are: {', '.join(found) or 'none'}"
        return wrong(said, "plug it in: dmesg | tail; names that stay: ls -l /dev/v4l/by-id")
    return ok(", ".join(found)) if found else absent("no /dev/video*")


def _formats(node: str, held: set[str]) -> str | None:
    """Return what a node gives; `None` where it is no camera, but a codec or a part of one."""
    import fcntl  # noqa: PLC0415 - Linux only

    if node in held:
        return "in use"
    try:
        file = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return (error.strerror or "").lower()
    try:
        said = bytearray(QUERYCAP_BYTES)
        fcntl.ioctl(file, VIDIOC_QUERYCAP, said)
        if not struct.unpack_from("I", said, DEVICE_CAPS_AT)[0] & CAPTURES:
            return None
        names = []
        for index in range(MOST_FORMATS):
            asked = bytearray(struct.pack("II", index, 1).ljust(FORMAT_BYTES, b"\0"))
            try:
                fcntl.ioctl(file, VIDIOC_ENUM_FMT, asked)
            except OSError:
                break
            names.append(bytes(asked[FOURCC_AT : FOURCC_AT + 4]).decode("latin-1").strip())
        return " ".join(names) or "no formats"
    except OSError:
        return None
    finally:
        os.close(file)


def holders(host: Host) -> Finding:
    """Look for programs that have a camera open."""
    held, is_whole = _open_nodes(host)
    note = "" if is_whole else f" (other users' programs are not seen; {AS_ROOT})"
    found: dict[int, set[str]] = {}
    for pid, node in held:
        found.setdefault(pid, set()).add(node)
    if not found:
        return absent(f"nobody{note}")
    texts, strangers = [], []
    for pid, nodes in sorted(found.items()):
        unit = _unit(host, pid)
        name = host.text(f"proc/{pid}/comm")
        texts.append(f"{name} ({unit or 'no unit'}, process {pid}) has {', '.join(sorted(nodes))}")
        if unit != UNIT:
            is_systems = unit and "system.slice" in host.text(f"proc/{pid}/cgroup")
            strangers.append(f"sudo systemctl stop {unit}" if is_systems else f"sudo kill {pid}")
    said = "; ".join(texts) + note
    if strangers and UNIT not in said and host.schemes() & {"v4l2", "picamera", "imx500", "csi"}:
        return warning(said, "; ".join(strangers))
    return ok(said)


def _open_nodes(host: Host) -> tuple[list[tuple[int, str]], bool]:
    """Return process and node of each open one, and whether every process could be looked at."""
    found, is_whole = [], True
    for folder in host.glob("proc/[0-9]*/fd"):
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names are enough
        except PermissionError:
            is_whole = False
            continue
        except OSError:  # it has ended
            continue
        for name in names:
            try:
                target = str((folder / name).readlink())
            except OSError:
                continue
            if NODES.fullmatch(target):
                found.append((int(folder.parent.name), target))
    return found, is_whole


def _unit(host: Host, pid: int) -> str:
    parts = Path(host.text(f"proc/{pid}/cgroup").rpartition(":")[2]).parts
    return next((part for part in reversed(parts) if part.endswith(".service")), "")
