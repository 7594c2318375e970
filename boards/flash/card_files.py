"""The files that a card's boot partition gets beside its own: a bundle and the first boot's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards.flash import formats
from boards.flash.errors import FlashError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boards.flash.fat import Fat
    from boards.flash.formats import Settings, System

# By path on the boot partition: what is written, or the file that is copied.
Files = dict[str, bytes | Path]
MIB = 1 << 20
UNIT = "root/etc/systemd/system/edge-firstboot.service"
FIRSTBOOT = f"""\
#!/bin/sh
# Hands the first boot over to a unit, which begins again where a power cut stopped it.
set -eu
cp {formats.MOUNTED}/edge/{UNIT} /etc/systemd/system/
chmod 644 /etc/systemd/system/edge-firstboot.service
systemctl daemon-reload
systemctl enable edge-firstboot.service
sync
[ "${{1:-}}" = enable ] || systemctl start --no-block edge-firstboot.service
"""


def of_bundle(folder: Path) -> Files:
    """Return a bundle's files, each of which is what the bundle's list says.

    Raises:
        FlashError: One isn't, or it is no bundle.
    """
    files: Files = {}
    for row in manifest(folder)["files"]:
        path = folder / row["path"]
        if not path.is_file() or _sha256(path) != row["sha256"]:
            raise FlashError(
                f"{path}: is not what bundle.json says of it; make the bundle anew: "
                "edge-board bundle PROFILE --out DIR"
            )
        files[f"edge/{row['path']}"] = path
    for name in ("bundle.json", "bundle.json.sig", "install.sh"):
        if (folder / name).is_file():
            files[f"edge/{name}"] = folder / name
    if f"edge/{UNIT}" not in files:
        raise FlashError(f"{folder}: the bundle has no {UNIT}, so it installs nothing")
    files["edge/firstboot.sh"] = FIRSTBOOT.encode()
    return files


def manifest(folder: Path) -> Mapping[str, Any]:
    """Return what a bundle says of itself.

    Raises:
        FlashError: It says nothing.
    """
    try:
        found: Mapping[str, Any] = json.loads((folder / "bundle.json").read_bytes())
    except (OSError, ValueError) as error:
        raise FlashError(
            f"{folder}: expected a bundle, found no bundle.json that can be read; "
            "make one with: edge-board bundle PROFILE --out DIR"
        ) from error
    return found


def check_python(bundle: Path, python: str, title: str) -> None:
    """Refuse a bundle without wheels for the image's Python, where that is known.

    Raises:
        FlashError: It has none.
    """
    versions = manifest(bundle)["python"]
    if python and versions and python not in versions:
        raise FlashError(
            f"{bundle}: expected wheels for Python {python}, which {title} has, found those for "
            f"{', '.join(versions)}; type: edge-board bundle PROFILE --python {python} --out DIR"
        )


def of_first_boot(fat: Fat, system: System, settings: Settings) -> Files:
    """Return the files that the image reads at its first boot.

    Raises:
        FlashError: The boot partition has no command line for the kernel, and needs one.
    """
    files, words = formats.first_boot(system, settings)
    if "cmdline.txt" in fat:
        line = fat.read("cmdline.txt").decode(errors="replace")
        files["cmdline.txt"] = formats.with_words(line, words).encode()
    elif system.format == "systemd":
        raise FlashError("expected cmdline.txt on the boot partition, which starts firstrun.sh")
    return dict(files)


def check_room(fat: Fat, files: Files) -> None:
    """Refuse what doesn't fit on the boot partition.

    Raises:
        FlashError: It doesn't.
    """
    needed = sum(fat.needed_bytes(size(data)) for data in files.values())
    if needed > fat.free_bytes:
        raise FlashError(
            f"the boot partition has {fat.free_bytes / MIB:.1f} MiB free and the files need "
            f"{needed / MIB:.1f} MiB: {(needed - fat.free_bytes) / MIB:.1f} MiB are missing; "
            "make the bundle for one Python alone, or take an image with a larger one"
        )


def contents(data: bytes | Path) -> bytes:
    """Return what is in a file that is copied, or in one that was made."""
    return data if isinstance(data, bytes) else data.read_bytes()


def size(data: bytes | Path) -> int:
    """Return the size of a file, in bytes."""
    return len(data) if isinstance(data, bytes) else data.stat().st_size


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
