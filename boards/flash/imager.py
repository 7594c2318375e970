"""A manifest that Raspberry Pi Imager opens, so that it offers a ready image of ours.

Source: raspberrypi/rpi-imager, doc/schema-notes.md, doc/json-schema/os-list-schema.json, and
src/hwlistmodel.cpp for the list of devices.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from boards.flash import formats, image
from boards.flash.fat import Fat
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.profile import Profile

# Imager's names of devices; it takes a Zero 2 W for a Pi 3.
DEVICES = {
    "pi3": ["pi3-64bit"],
    "pi4": ["pi4-64bit"],
    "pi5": ["pi5-64bit"],
    "cm4": ["pi4-64bit"],
    "cm5": ["pi5-64bit"],
    "zero2w": ["pi3-64bit", "pi-zero2-64bit"],
}


def manifest(path: Path, profile: Profile, *, url: str = "", icon: str = "") -> dict[str, Any]:
    """Return what Imager is told of an image.

    Args:
        path: Of the image, plain or packed by xz.
        profile: Of the board that it is for.
        url: Where Imager gets it; empty for the file itself.
        icon: Address of its picture.

    Raises:
        EdgeError: Imager knows no such board, or that is no image.
    """
    if profile.name not in DEVICES:
        raise ConfigError(f"expected a board of {', '.join(DEVICES)}, found {profile.name}")
    source = image.open_image(path)
    found = image.layout(source)
    with source.head(image.head_bytes(found)) as head, image.named(path):
        fat = Fat(head, found.boot)
        # What Imager would write of its own takes the place of a first boot that is there.
        first_boot = "none" if "edge/firstboot.sh" in fat else formats.detect(fat).format
    unpacked = hashlib.sha256()
    for chunk in source.chunks():
        unpacked.update(chunk)
    status = path.stat()
    day = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    entry = {
        "name": f"edge-vision for {profile.title}",
        "description": "Detects on the board and publishes over MQTT",
        "icon": icon,
        "url": url or path.absolute().as_uri(),
        "extract_size": source.size,
        "extract_sha256": unpacked.hexdigest(),
        "image_download_size": status.st_size,
        "image_download_sha256": image.sha256(path),
        "release_date": day.strftime("%Y-%m-%d"),
        "init_format": first_boot,
        "architecture": "armv8",
        "devices": DEVICES[profile.name],
    }
    # Imager offers only what is for a device that this list has.
    device = {
        "name": profile.title,
        "tags": DEVICES[profile.name],
        "icon": icon,
        "description": f"{profile.title}, 64-bit",
        "matching_type": "exclusive",
        "default": True,
    }
    return {"imager": {"devices": [device]}, "os_list": [entry]}


def text(fields: dict[str, Any]) -> str:
    """Return a manifest as a file has it."""
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
