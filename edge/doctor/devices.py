"""Whether devices may be opened, and the chips that run models."""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from typing import TYPE_CHECKING

from edge.doctor.host import UNIT, UNIT_FILE, Finding, Host, absent, ok, warning, wrong
from edge.errors import EdgeError

if TYPE_CHECKING:
    from pathlib import Path

PLACES = ("dev/video*", "dev/media*", "dev/apex_*", "dev/hailo*")
# libcamera's frames are allocated there.
MEMORY = "dev/dma_heap/*"
# Before and after the library has sent it its program.
USB_TPU = {("1a6e", "089a"), ("18d1", "9302")}
USB_3_MBIT_S = 5000
HAILO_VENDOR = "0x1e60"  # of PCI
BOTH = stat.S_IRGRP | stat.S_IWGRP


def permissions(host: Host) -> Finding:
    """Look whether the service's user, or without a service this one, may open the devices."""
    places = [*PLACES, MEMORY] if host.schemes() & {"picamera", "imx500"} else PLACES
    nodes = [path for place in places for path in host.glob(place)]
    if not nodes:
        return absent("no camera and no chip to open")
    user, groups = _who(host)
    if user == "root":
        return ok("root may open every device")
    shut = [path for path in nodes if not _may_open(path, groups)]
    if not shut:
        return ok(f"user {user} may open all {len(nodes)} devices")
    names = {gid: name for name, gid in _rows(host, "etc/group")}
    needed = sorted({names.get(path.stat().st_gid, "video") for path in shut})
    listed = ", ".join(f"/{path.relative_to(host.root)}" for path in shut)
    mend = f"sudo usermod -aG {','.join(needed)} {user}, then log in again"
    if host.text(UNIT_FILE):
        mend = f"sudo systemctl edit {UNIT}: [Service] SupplementaryGroups={' '.join(needed)}; "
        mend += f"sudo systemctl restart {UNIT}"
    return wrong(f"user {user} may not open {listed}", mend)


def _may_open(path: Path, groups: set[int]) -> bool:
    status = path.stat()
    is_for_all = status.st_mode & stat.S_IROTH and status.st_mode & stat.S_IWOTH
    return bool(is_for_all or (status.st_mode & BOTH == BOTH and status.st_gid in groups))


def _who(host: Host) -> tuple[str, set[int]]:
    """Return the user that opens devices, and the numbers of its groups."""
    unit, groups = host.text(UNIT_FILE), _rows(host, "etc/group")
    if not unit and host.is_live:
        name = "root" if os.geteuid() == 0 else os.environ.get("USER", "$USER")
        return name, {os.getegid(), *os.getgroups()}
    said = re.search(r"^User=(\S+)", unit, re.MULTILINE)
    is_dynamic = re.search(r"^DynamicUser=(yes|true|1)", unit, re.MULTILINE)
    user = said[1] if said else "edge" if is_dynamic else "root"
    named = " ".join(re.findall(r"^(?:SupplementaryGroups|Group)=(.*)$", unit, re.MULTILINE))
    members = re.findall(rf"^(\w[\w-]*):[^:]*:\d+:(?:.*,)?{re.escape(user)}(?:,.*)?$",
                         host.text("etc/group"), re.MULTILINE)  # fmt: skip
    wanted = {*named.split(), *members, user}
    return user, {gid for name, gid in groups if name in wanted}


def _rows(host: Host, place: str) -> list[tuple[str, int]]:
    found = re.findall(r"^([^:\n]+):[^:\n]*:(\d+):", host.text(place), re.MULTILINE)
    return [(name, int(number)) for name, number in found]


def edge_tpu(host: Host) -> Finding:
    """Look for an Edge TPU, its library and its speed."""
    from edge.model import delegates  # noqa: PLC0415

    kind = delegates.DELEGATES[delegates.EDGE_TPU]
    found = [path.name for path in host.glob("dev/apex_*")]
    slow = []
    for folder in host.glob("sys/bus/usb/devices/*"):
        identity = (host.text(folder / "idVendor"), host.text(folder / "idProduct"))
        if identity in USB_TPU:
            speed = host.text(folder / "speed")
            found.append(f"USB {folder.name} at {speed} Mbit/s")
            slow += [folder.name] if speed.isdigit() and int(speed) < USB_3_MBIT_S else []
    is_wanted = _delegate(host) == delegates.EDGE_TPU
    if not found:
        return wrong("none", kind.plug) if is_wanted else absent("none")
    try:
        if host.is_live:
            delegates.check_library(delegates.parse(delegates.EDGE_TPU))
    except EdgeError as error:
        state = wrong if is_wanted else warning
        return state(f"{', '.join(found)}; {error}", kind.install)
    if slow:
        return warning(", ".join(found), "plug it into a USB 3 port, the blue one")
    return ok(", ".join(found))


def hailo(host: Host) -> Finding:
    """Look for a Hailo chip, its driver and HailoRT."""
    from edge.model import delegates  # noqa: PLC0415

    kind = delegates.DELEGATES[delegates.HAILO]
    vendors = host.glob("sys/bus/pci/devices/*/vendor")
    chips = [path.parent.name for path in vendors if host.text(path) == HAILO_VENDOR]
    is_wanted = _delegate(host) == delegates.HAILO
    if not chips:
        mend = "seat the HAT's ribbon anew, and see that lspci names it after a reboot"
        return wrong("none", mend) if is_wanted else absent("none")
    driver = host.text("sys/module/hailo_pci/version")
    state = wrong if is_wanted else warning
    if not host.glob("dev/hailo*") or not driver:
        return state(f"{chips[0]} without its driver", kind.install)
    if host.is_live and not importlib.util.find_spec("hailo_platform"):
        return state(f"{chips[0]}, driver {driver}, no HailoRT", kind.install)
    return ok(f"{chips[0]}, driver {driver}")


def _delegate(host: Host) -> str:
    return host.config.model.delegate.partition(":")[0] if host.config else ""
