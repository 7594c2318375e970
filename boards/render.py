"""The files that a board needs: its configuration, the units, and what the system must be told."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from edge.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from boards.carried import Carried
    from boards.profile import Profile

TEMPLATES = files("boards") / "templates"
# Where each template goes, below the root of the board's file system.
PLACES = {
    "edge.service": "etc/systemd/system/edge.service",
    "edge-firstboot.service": "etc/systemd/system/edge-firstboot.service",
    "edge-update.path": "etc/systemd/system/edge-update.path",
    "edge-update.service": "etc/systemd/system/edge-update.service",
    "sysusers.conf": "usr/lib/sysusers.d/edge-vision.conf",
    "tmpfiles.conf": "usr/lib/tmpfiles.d/edge-vision.conf",
    "udev.rules": "etc/udev/rules.d/70-edge-vision.rules",
    "sysctl.conf": "etc/sysctl.d/60-edge-vision.conf",
    "system.conf": "etc/systemd/system.conf.d/50-edge-vision.conf",
    "journald.conf": "etc/systemd/journald.conf.d/50-edge-vision.conf",
}
# A card wears out, and a Pi's watchdog is known; other systems keep both as they have them.
ON_CARDS = ("journald.conf", "system.conf")
# Where the bundle lies that the first boot installs.
BUNDLES = {
    "card": "/boot/firmware/edge",
    "l4t": "/var/lib/edge-install/bundle",
    "none": "/var/lib/edge-install/bundle",
}
PROGRAM_MODE, FILE_MODE = 0o755, 0o644
# A Jetson's CSI camera is had from a daemon, by way of memory of the GPU. The names were not seen.
JETSON = """\
# A Jetson's GPU and image processor: names that were not seen on one
DeviceAllow=char-nv* rw
DeviceAllow=char-host1x* rw
DeviceAllow=/dev/nvmap rw
"""


def render(profile: Profile, carried: Carried) -> dict[str, bytes | Path]:
    """Return each file by its place in a bundle: what it holds, or where it lies here."""
    if profile.unsupported:
        raise ConfigError(f"{profile.title}: {profile.unsupported}; choose another board")
    found: dict[str, bytes | Path] = {"device.toml": carried.text.encode(), **carried.files}
    for name, place in PLACES.items():
        if name not in ON_CARDS or profile.carrier == "card":
            found[f"root/{place}"] = _filled(name, _values(profile, carried.secrets)).encode()
    return found


def write(folder: Path, found: Mapping[str, bytes | Path]) -> None:
    """Write files below a folder, which is new or empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder}: expected a new or empty folder; give another --out")
        for place, content in sorted(found.items()):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            path.chmod(PROGRAM_MODE if place.endswith(".sh") else FILE_MODE)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SinkError(f"{error.filename}: cannot be written: {reason}; check --out") from error


def _values(profile: Profile, secrets: tuple[str, ...]) -> dict[str, str]:
    is_jetson = profile.carrier == "l4t"
    return {
        "profile": profile.name,
        "memory_percent": str(profile.memory_percent),
        "bundle_folder": BUNDLES[profile.carrier],
        "credentials": "\n".join(
            f"LoadCredential={name}:/etc/edge/secrets/{name}\nSetCredential={name}:\\n"
            for name in secrets
        ),
        "devices": JETSON if is_jetson else "",
        # A Jetson's daemon for CSI cameras is met at /tmp/argus_socket, and CUDA compiles.
        "private_tmp": "no" if is_jetson else "yes",
        "no_jit": "no" if is_jetson else "yes",
    }


def _filled(name: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], text)
