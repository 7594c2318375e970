"""Images of cards: a partition table and a boot partition, small, made by no tool.

The FAT here is made from its specification, not by the code that is tested.
"""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
START = 2048 * SECTOR
PI_GEN = "Raspberry Pi reference {}\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen\n"
UNIT = "root/etc/systemd/system/edge-firstboot.service"


def card(files=None, *, fat=None, root=b"\x00" * SECTOR, kind=0x0C, mib=4) -> bytes:
    """Return an image whose boot partition has these files in its root folder."""
    boot = fat if fat is not None else fat16(files or {}, mib=mib)
    rows = [(kind, START, len(boot)), (0x83, START + len(boot), len(root))]
    table = b"".join(
        struct.pack("<4xB3xII", one, start // SECTOR, size // SECTOR) for one, start, size in rows
    )
    head = bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"
    return head.ljust(START, b"\0") + boot + root


def fat16(files, *, mib=4, free=None) -> bytes:
    """Return a FAT16 of one sector a cluster; `free` leaves only so many clusters."""
    total = mib * 2**20 // SECTOR
    roots, per_table = 512, -(-total * 2 // SECTOR)
    boot = b"\xeb\x3c\x90edge-fat" + struct.pack(
        "<HBHBHHBHHHII", SECTOR, 1, 1, 2, roots, total if total < 65536 else 0, 0xF8, per_table,
        63, 255, 0, total if total >= 65536 else 0,
    ) + b"\x80\0\x29\1\2\3\4NO NAME    FAT16   "  # fmt: skip
    table, data, entries, cluster = [0xFFF8, 0xFFFF], b"", b"", 2
    for name, contents in files.items():
        count = -(-len(contents) // SECTOR)
        entries += _entries(name, cluster if count else 0, len(contents))
        table += [*range(cluster + 1, cluster + count), 0xFFFF] if count else []
        data += contents.ljust(count * SECTOR, b"\0")
        cluster += count
    clusters = (total - 1 - 2 * per_table - roots * 32 // SECTOR) + 2
    if free is not None:
        table += [0xFFF7] * (clusters - len(table) - free)
    packed = struct.pack(f"<{len(table)}H", *table).ljust(per_table * SECTOR, b"\0")
    head = boot.ljust(510, b"\0") + b"\x55\xaa"
    return (head + packed * 2 + entries.ljust(roots * 32, b"\0") + data).ljust(
        total * SECTOR, b"\0"
    )


def fat32(files, *, mib=34) -> bytes:
    """Return a FAT32 of one sector a cluster, with files in its root folder."""
    total = mib * 2**20 // SECTOR
    per_table = -(-total * 4 // SECTOR)
    boot = b"\xeb\x58\x90edge-fat" + struct.pack(
        "<HBHBHHBHHHIIIHHIHH", SECTOR, 1, 32, 2, 0, 0, 0xF8, 0, 63, 255, 0, total, per_table,
        0, 0, 2, 1, 6,
    ) + bytes(12) + b"\x80\0\x29\1\2\3\4NO NAME    FAT32   "  # fmt: skip
    head = boot.ljust(510, b"\0") + b"\x55\xaa"
    info = (b"RRaA".ljust(484, b"\0") + b"rrAa" + b"\xff" * 8).ljust(510, b"\0") + b"\x55\xaa"
    reserved = (head + info).ljust(6 * SECTOR, b"\0") + head + info
    table, data, entries, cluster = [0x0FFFFFF8, 0x0FFFFFFF, 0x0FFFFFFF], b"", b"", 3
    for name, contents in files.items():
        count = -(-len(contents) // SECTOR)
        entries += _entries(name, cluster, len(contents))
        table += [*range(cluster + 1, cluster + count), 0x0FFFFFFF]
        data += contents.ljust(count * SECTOR, b"\0")
        cluster += count
    packed = struct.pack(f"<{len(table)}I", *table).ljust(per_table * SECTOR, b"\0")
    return (
        reserved.ljust(32 * SECTOR, b"\0") + packed * 2 + entries.ljust(SECTOR, b"\0") + data
    ).ljust(total * SECTOR, b"\0")


def _entries(name, cluster, size) -> bytes:
    """Return a file's entry, with those of its long name before it."""
    short = hashlib.sha256(name.encode()).hexdigest()[:8].upper().encode() + b"   "
    checksum = 0
    for byte in short:
        checksum = (((checksum & 1) << 7) + (checksum >> 1) + byte) & 0xFF
    found = short + bytes([0x20]) + bytes(8)
    found += struct.pack("<HHHHI", cluster >> 16, 0, 0x21, cluster & 0xFFFF, size)
    count = -(-len(name) // 13)
    for number in range(1, count + 1):
        part = name[13 * (number - 1) : 13 * number]
        units = part.encode("utf-16-le") + b"\0\0" * (len(part) < 13)
        units = units.ljust(26, b"\xff")
        order = bytes([number | (0x40 if number == count else 0)])
        long = order + units[:10] + bytes([0x0F, 0, checksum]) + units[10:22] + b"\0\0"
        found = long + units[22:] + found
    return found


# What the boot partition of each kind of image has, beside its kernel.
LINE = b"console=serial0,115200 console=tty1 root=PARTUUID=4d8fd085-02 rootfstype=ext4 rootwait\n"
COMMON = {"config.txt": b"arm_64bit=1\n", "kernel8.img": b"kernel" * 100, "cmdline.txt": LINE}
SYSTEMD = COMMON | {"issue.txt": PI_GEN.format("2024-11-19").encode()}
FIRST_TRIXIE = COMMON | {"issue.txt": PI_GEN.format("2025-10-01").encode()}
CLOUDINIT = COMMON | {"user-data": b"#cloud-config\n", "meta-data": b"", "network-config": b""}
CLOUDINIT_RPI = CLOUDINIT | {
    "issue.txt": PI_GEN.format("2026-04-13").encode(),
    "meta-data": b"instance_id: rpios-image\n",
}
PRESEED = COMMON | {
    "issue.txt": PI_GEN.format("2026-10-01").encode(),
    "rpi-preseed.toml": b'config_version = "1.0"\n',
}


def bundle(folder: Path, *, python=("3.13",), profile="pi5", machine="aarch64", more=None) -> Path:
    """Return a bundle that has what every one has, and no wheel that runs."""
    files = {
        UNIT: b"[Service]\n",
        "wheels/edge_vision-0.1.0-py3-none-any.whl": b"wheel" * 1000,
        "device.toml": b"[model]\n",
        "install.sh": b"#!/bin/sh\n",
    } | (more or {})
    rows = []
    for name, data in sorted(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        rows.append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    wheels = [name.removeprefix("wheels/") for name in files if name.startswith("wheels/")]
    fields = {
        "schema_version": 1, "version": "0.1.0", "profile": profile, "machine": machine,
        "python": list(python), "wheels": dict.fromkeys(python, wheels),
        "created_utc": "2026-11-26T00:00:00Z", "files": rows,
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(fields))
    return folder


def sign(bundle: Path, folder: Path) -> None:
    """Sign a bundle; write who may sign it and who may not: fleet.signers and other.signers."""
    for name in ("fleet", "other"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
        (folder / f"{name}.signers").write_text(f"{name} {(folder / f'{name}.pub').read_text()}")
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "edge-vision", "-f", str(folder / "fleet")]
    subprocess.run([*sign, str(bundle / "bundle.json")], check=True)
