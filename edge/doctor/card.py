"""The card or disk: errors, wear, room."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from edge.doctor.host import Finding, Host, absent, ok, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 2**20
# Room for a bundle beside the one that runs, unpacked; and what a log needs to go on.
LOW_MIB, FULL_MIB = 500, 50
LOW_INODES_RATIO = 0.02
PLACES = (".", "opt/edge", "var/lib/edge-vision", "boot/firmware")
# Source: JEDEC eMMC 5.1 (JESD84-B51), EXT_CSD 267 to 269: tenths of the life that are used, and
# how many of the spare blocks are: 2 is 80 %, 3 is 90 %.
WORN, DEAD = 0x09, 0x0B
FEW_BLOCKS, NO_BLOCKS = 2, 3
REAL = ("ext2", "ext3", "ext4", "f2fs", "btrfs", "xfs", "vfat")
# Source: proc_pid_mountinfo(5). The last field is the file system's own state; the mount's is `ro`
# on purpose, as in a container.
MOUNT = re.compile(r"^\S+ \S+ \S+ \S+ (\S+) .* - (\S+) (\S+) (\S+)$", re.MULTILINE)
COPY = "copy the card while it can be read, and take a new one (high endurance)"


def errors(host: Host) -> Finding:
    """Look for errors that ext4 has met, and for systems that Linux made read-only of them."""
    counts = {path.parent.name: host.text(path) for path in host.glob("sys/fs/ext4/*/errors_count")}
    found = [f"{name}: {count} errors" for name, count in counts.items() if count not in ("", "0")]
    listed = host.text("etc/fstab").splitlines()
    meant = [words[1] for line in listed if (words := line.split())[3:] and _is_ro(words[3])]
    mounts = MOUNT.findall(host.text("proc/self/mountinfo"))
    shut = {
        device: f"{place} ({device}) is read-only"
        for place, kind, device, options in reversed(mounts)
        if kind in REAL and _is_ro(options) and place not in meant
    }
    found += shut.values()
    if found:
        mend = "add fsck.mode=force fsck.repair=yes to /boot/firmware/cmdline.txt for one boot; "
        return wrong("; ".join(found), f"{mend}if it returns, {COPY}")
    return ok("no errors, nothing read-only") if mounts else absent("Linux names no mounts")


def _is_ro(options: str) -> bool:
    return "ro" in options.split(",")


def wear(host: Host) -> Finding:
    """Look at how much of its life a card says is used; few SD cards do, eMMC does."""
    lives = {path.parents[1].name: path for path in host.glob("sys/block/mmcblk*/device/life_time")}
    found: dict[str, tuple[int, int]] = {}
    for name, path in lives.items():
        used = [int(text, 16) for text in re.findall(r"0x[0-9a-f]+", host.text(path))]
        spare = re.findall(r"0x[0-9a-f]+", host.text(path.parent / "pre_eol_info"))
        found[name] = max(used, default=0), int(spare[0], 16) if spare else 0
    known = {name: levels for name, levels in found.items() if any(levels)}
    if not known:
        return absent("the card does not say how worn it is, or there is none")
    name, (used_level, spare_level) = max(known.items(), key=lambda each: each[1])
    said = f"{name}: {min(used_level * 10, 100)} % of its life used"
    if used_level >= DEAD or spare_level >= NO_BLOCKS:
        return wrong(said, COPY)
    if used_level >= WORN or spare_level >= FEW_BLOCKS:
        return warning(said, COPY)
    return ok(said)


def room(host: Host) -> Finding:
    """Look at what is free, in bytes and in files."""
    found = []
    for place, status in _statuses(host):
        free_mib = status.f_bavail * status.f_frsize // MIB
        # A FAT partition has no inodes, and is small by design.
        is_fat = not status.f_files
        low_mib = FULL_MIB if is_fat else LOW_MIB
        files_ratio = status.f_favail / status.f_files if status.f_files else 1.0
        is_low = free_mib < low_mib or files_ratio < LOW_INODES_RATIO
        text = f"{place}: {free_mib} MiB"
        text += f", {100 * files_ratio:.0f} % of the files" if files_ratio < 1 else ""
        found.append((is_low, free_mib < FULL_MIB and not is_fat, f"{text} free"))
    lows = [(is_full, text) for is_low, is_full, text in found if is_low]
    if lows:
        state = wrong if any(is_full for is_full, _ in lows) else warning
        mend = "sudo apt clean; sudo journalctl --vacuum-size=50M; sudo du -xh / | sort -h | tail"
        return state("; ".join(text for _, text in lows), mend)
    return ok(found[0][2]) if found else absent("no such folder")


def _statuses(host: Host) -> Iterator[tuple[Path, os.statvfs_result]]:
    seen = set()
    for place in PLACES:
        path = host.root / place
        if path.exists() and (device := path.stat().st_dev) not in seen:
            seen.add(device)
            yield path, os.statvfs(path)
