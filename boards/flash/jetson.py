"""A bundle laid into NVIDIA's Linux_for_Tegra, and NVIDIA's own commands that flash it from there.

Sources: Jetson Linux Developer Guide r36 and r39, "Flashing Support" and "Quick Start". None of
the commands was run here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boards.flash import card_files
from boards.render import BUNDLES
from edge.errors import BoardError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.profile import Profile

PLACE = BUNDLES["l4t"].lstrip("/")
UNITS = "etc/systemd/system"
# NVIDIA's names of boards, the first that lies in the tree.
CONFIGURATIONS = {
    "orin-nano": ("jetson-orin-nano-devkit-super", "jetson-orin-nano-devkit"),
    "orin-nx": ("jetson-orin-nano-devkit-super", "jetson-orin-nano-devkit"),
    "agx-orin": ("jetson-agx-orin-devkit",),
}
INITRD = "tools/kernel_flash/l4t_initrd_flash.sh"
USER = "tools/l4t_create_default_user.sh"
LAYOUTS = (
    "tools/kernel_flash/flash_l4t_t234_nvme.xml",
    "tools/kernel_flash/flash_l4t_external.xml",
)
QSPI = ("bootloader/generic/cfg/flash_t234_qspi.xml", "bootloader/t186ref/cfg/flash_t234_qspi.xml")


@dataclass(frozen=True, slots=True)
class Tree:
    """NVIDIA's tree, of which what the commands name is there.

    Attributes:
        folder: Linux_for_Tegra.
        profile: Of the board.
        commands: What flashes it, in order.
        python: Version of its root's Python; empty where that doesn't tell.
    """

    folder: Path
    profile: Profile
    commands: tuple[str, ...]
    python: str


def look(folder: Path, profile: Profile, *, storage: str) -> Tree:
    """Return a tree that is ready for a bundle; `storage` is `nvme`, or `internal` for eMMC."""
    if profile.name not in CONFIGURATIONS:
        raise ConfigError(f"expected a board of {', '.join(CONFIGURATIONS)}, found {profile.name}")
    root = folder / "rootfs"
    if not (root / "etc/nv_tegra_release").exists():
        raise BoardError(
            f"{root}: expected NVIDIA's root file system with its binaries, found no "
            "etc/nv_tegra_release; unpack the sample root file system there, then type: "
            "sudo ./apply_binaries.sh"
        )
    names = CONFIGURATIONS[profile.name]
    board = _first(folder, [f"{name}.conf" for name in names]).removesuffix(".conf")
    _first(folder, [USER])
    commands = [f"sudo ./{USER} -u USER -p PASSWORD --autologin --accept-license"]
    if storage == "internal":
        _first(folder, ["flash.sh"])
        commands += [f"sudo ./flash.sh {board} internal"]
    else:
        _first(folder, [INITRD])
        quick = f'-p "-c {_first(folder, QSPI)}" ' if profile.name != "agx-orin" else ""
        drive = f"--external-device nvme0n1p1 -c {_first(folder, LAYOUTS)} {quick}"
        tail = f"--showlogs --network usb0 {board} {'internal' if quick else 'external'}"
        commands += [f"sudo ./{INITRD} {drive}{tail}"]
    program = root / "usr/bin/python3"
    version = program.readlink().name.removeprefix("python") if program.is_symlink() else ""
    return Tree(folder, profile, tuple(commands), version)


def stage(tree: Tree, bundle: Path) -> int:
    """Lay a bundle and the unit of its first boot into a tree; return the number of its files."""
    found = card_files.opened(bundle)
    card_files.check(found, tree.profile, python=tree.python, title="the Jetson's root file system")
    names = card_files.names(found)
    root = tree.folder / "rootfs"
    try:
        shutil.rmtree(root / PLACE, ignore_errors=True)
        for name in names:
            path = root / PLACE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle / name, path)
        unit = root / UNITS / "edge-firstboot.service"
        shutil.copyfile(bundle / card_files.UNIT, unit)
        wanted = root / UNITS / "multi-user.target.wants" / unit.name
        wanted.parent.mkdir(exist_ok=True)
        wanted.unlink(missing_ok=True)
        wanted.symlink_to(f"/{UNITS}/{unit.name}")
    except OSError as error:
        raise BoardError(
            f"{error.filename}: cannot be written: {error.strerror}; the tree is root's, so type "
            "this with sudo, and then again, since a part of it may be there"
        ) from error
    return len(names)


def _first(folder: Path, names: tuple[str, ...] | list[str]) -> str:
    """Return the first of these files that is there."""
    for name in names:
        if (folder / name).exists():
            return name
    raise BoardError(
        f"{folder}: expected NVIDIA's Linux_for_Tegra for this board, found no {names[0]}; "
        "unpack the release that is for it"
    )
