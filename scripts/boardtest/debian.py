"""A Debian for arm64 that was never run: its files, its kernels, and the image of a card.

An equivalent of Raspberry Pi OS, made without emulation: packages are unpacked, and what their
scripts would have done is done here. `card/` holds what Raspberry Pi OS brings itself.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from pathlib import Path

from boardtest.steps import run

HERE = Path(__file__).parent
MIRROR = os.environ.get("MIRROR", "")
PACKAGES = (
    "systemd systemd-sysv dbus udev kmod python3 python3-venv cloud-init openssh-client sudo "
    "netbase iproute2 ca-certificates procps passwd login util-linux mount e2fsprogs dosfstools "
    "libpam-systemd netcat-openbsd dash bash sed grep gzip tar findutils diffutils hostname "
    "debianutils libc-bin busybox-static linux-image-arm64 linux-image-arm64-16k"
)
# Disk and network come first, and are all that the initial RAM disk has. vivid is a camera by all
# that V4L2 shows.
MODULES = (
    "crc32c_generic ext4 vfat nls_ascii nls_cp437 nls_utf8 virtio_mmio virtio_pci virtio_blk "
    "virtio_net sdhci_iproc bcm2835 dwc2 usbnet cdc_ether phy_generic | vivid "
    "bcm2835_thermal bcm2835_wdt fuse"
)
ENABLED = {
    "multi-user.target": ("systemd-networkd.service", "board-probe.service"),
    "sockets.target": ("systemd-networkd.socket",),
    "network-online.target": ("systemd-networkd-wait-online.service",),
    "cloud-init.target": tuple(
        f"cloud-{name}.service"
        for name in ("init-main", "init-local", "init-network", "config", "final")
    ),
}
EMPTY = "boot/firmware media mnt opt srv var/log usr/local/bin root dev proc sys run tmp"
KERNELS = {"arm64": "8", "arm64-16k": "_2712"}
LABEL_ID = "5eed0013"
BOOT_AT_MIB, BOOT_MIB, ROOT_MIB, CARD_MIB = 4, 512, 1530, 2048
ROOT_AT_MIB = BOOT_AT_MIB + BOOT_MIB
# What packages' scripts leave behind. A first boot that finds no database of udev's makes one: that
# takes an emulated board most of a minute.
INDEXES = ("ldconfig", "systemd-hwdb --usr update", "journalctl --update-catalog")
INPUTS = [PACKAGES, MODULES, ENABLED, INDEXES, EMPTY, LABEL_ID, MIRROR, HERE / "card"]


def unpack(folder: Path, *, suite: str, architecture: str, packages: str) -> Path:
    """Unpack packages and what they need into a root; nothing of them is run."""
    links = 'for d in lib bin sbin lib64; do mkdir -p "$1/usr/$d"; ln -s usr/$d "$1/$d"; done'
    root = folder / "root"
    run(
        "mmdebstrap", f"--architectures={architecture}", "--variant=extract",
        # The lists of a mirror that stands still are signed as well.
        f"--setup-hook={links}", '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(packages.split())}", suite, root, MIRROR,
    )  # fmt: skip
    if not (root / "usr/bin/sh").exists():
        (root / "usr/bin/sh").symlink_to("dash")
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    return root


def system(folder: Path) -> None:
    """Make the root file system, as far as packages' scripts would have, and the boot partition."""
    root = unpack(folder, suite="trixie", architecture="arm64", packages=PACKAGES)
    for name in EMPTY.split():
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "card/boot", folder / "boot")
    for version in sorted(path.name for path in (root / "usr/lib/modules").iterdir()):
        _kernel(root, folder / "boot", version)
    shutil.rmtree(root / "boot")
    (root / "boot/firmware").mkdir(parents=True)
    shutil.copytree(HERE / "card/root", root, dirs_exist_ok=True)
    run("systemd-sysusers", f"--root={root}")
    for target, units in ENABLED.items():
        wants = root / f"etc/systemd/system/{target}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        for unit in units:
            place = "etc" if (root / f"etc/systemd/system/{unit}").exists() else "usr/lib"
            (wants / unit).symlink_to(f"/{place}/systemd/system/{unit}")
    for name, other in (("awk", "mawk"), ("nc", "nc.openbsd")):
        (root / "usr/bin" / name).symlink_to(other)
    authorities = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(
        b"".join(path.read_bytes() for path in authorities)
    )
    for line in INDEXES:
        run("chroot", root, *line.split())
    _compile(root)


def _kernel(root: Path, boot: Path, version: str) -> None:
    """Move a kernel to the boot partition, with a RAM disk; leave the modules of MODULES."""
    name = KERNELS[version[version.index("arm64") :]]
    (root / f"boot/vmlinuz-{version}").rename(boot / f"kernel{name}.img")
    for dtb in root.glob(f"usr/lib/linux-image-{version}/broadcom/bcm2837-rpi-3-b.dtb"):
        shutil.copy(dtb, boot / "bcm2710-rpi-3-b.dtb")
    shutil.rmtree(root / f"usr/lib/linux-image-{version}")
    run("depmod", "-b", root, version)
    early, _, late = MODULES.partition("|")
    kept = _modules(root, version, early)
    _initrd(root / "usr/bin/busybox", kept, boot / f"initramfs{name}")
    kept = {path.resolve() for path in [*kept, *_modules(root, version, late)]}
    for path in (root / f"usr/lib/modules/{version}/kernel").rglob("*.ko.xz"):
        if path.resolve() not in kept:
            path.unlink()
    run("depmod", "-b", root, version)


def _modules(root: Path, version: str, names: str) -> list[Path]:
    """Return the files of modules and of what they need, in the order in which they load."""
    found = dict[Path, None]()
    for name in names.split():
        said = run("modprobe", "-d", root, "-S", version, "--show-depends", name).splitlines()
        found |= {Path(line.split()[1]): None for line in said if line.startswith("insmod")}
    return list(found)


def _initrd(busybox: Path, modules: list[Path], target: Path) -> None:
    """Write an initial RAM disk: it loads modules and mounts what `root=` names."""
    folder = target.with_suffix(".d")
    for name in ("bin", "dev", "proc", "sys", "modules", "root"):
        (folder / name).mkdir(parents=True)
    shutil.copy(busybox, folder / "bin/busybox")
    shutil.copy(HERE / "card/init", folder / "init")
    for number, path in enumerate(modules):
        name = f"{number:02}-{path.name.removesuffix('.xz')}"
        (folder / "modules" / name).write_bytes(lzma.decompress(path.read_bytes()))
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=folder, input=names.encode(), capture_output=True, check=True,
    )  # fmt: skip
    target.write_bytes(gzip.compress(packed.stdout, 6))
    shutil.rmtree(folder)


def _compile(root: Path) -> None:
    """Compile its Python modules, as packages' scripts do; emulated, that takes two minutes."""
    folders = ("/usr/lib/python3.13", "/usr/lib/python3")
    python = os.environ.get("PYTHON313")
    if python:
        paths = [f"{root}{folder}" for folder in folders]
        run(python, "-m", "compileall", "-q", "-j", "2", "-s", root, "-p", "/", *paths)
    else:
        run("chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", "-j", "2", *folders)


def image(folder: Path, made: Path) -> None:
    """Write the card's image as its maker would: nothing of this project is in it."""
    card, boot_at = folder / "card.img", f"{BOOT_AT_MIB}M"
    with card.open("wb") as file:
        file.truncate(CARD_MIB << 20)
    parts = f"{BOOT_AT_MIB}MiB,{BOOT_MIB}MiB,c\n{ROOT_AT_MIB}MiB,{ROOT_MIB}MiB,83\n"
    run("sfdisk", "-q", card, input=f"label: dos\nlabel-id: 0x{LABEL_ID}\n{parts}")
    sectors = f"--offset={BOOT_AT_MIB * 2048}"
    run("mkfs.vfat", "-F", "32", "-n", "bootfs", sectors, card, str(BOOT_MIB << 10))
    run("mcopy", "-s", "-i", f"{card}@@{boot_at}", *sorted((made / "boot").iterdir()), "::/")
    place = f"offset={ROOT_AT_MIB << 20}"
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "rootfs",
        "-d",
        made / "root",
        "-E",
        place,
        card,
        f"{ROOT_MIB}M",
    )
