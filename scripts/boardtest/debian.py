"""A Debian for arm64 that was never run: its files, kernels and initial RAM disks, and a card's image."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from pathlib import Path

from boardtest import steps
from boardtest.steps import run

HERE = Path(__file__).parent
MIRROR = os.environ.get("MIRROR", "http://deb.debian.org/debian")
PACKAGES = ["systemd", "systemd-sysv", "dbus", "udev", "kmod", "python3", "python3-venv", "cloud-init", "openssh-client", "openssh-server", "sudo", "netbase", "iproute2", "ca-certificates", "procps", "passwd", "login", "util-linux", "mount", "e2fsprogs", "dosfstools", "libpam-systemd", "netcat-openbsd"]
# `v4l2:/dev/video0` is vivid's; what else: the disk, the network and the clock of the two machines.
MODULES = ["crc32c_generic", "ext4", "vfat", "nls_ascii", "nls_cp437", "nls_utf8", "virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "sdhci_iproc", "bcm2835", "dwc2", "usbnet", "cdc_ether", "phy_generic", "vivid", "bcm2835_thermal", "bcm2835_wdt", "fuse"]
IN_INITRD = MODULES[:18]
# Debian's preset is to enable what is installed; these are what a Raspberry Pi OS Lite has running.
ENABLED = {
    "systemd-networkd.service": "multi-user.target",
    "systemd-networkd.socket": "sockets.target",
    "systemd-networkd-wait-online.service": "network-online.target",
    "cloud-init-main.service": "cloud-init.target",
    "cloud-init-local.service": "cloud-init.target",
    "cloud-init-network.service": "cloud-init.target",
    "cloud-config.service": "cloud-init.target",
    "cloud-final.service": "cloud-init.target",
    "board-probe.service": "multi-user.target",
}
FILES = {
    "etc/hostname": "raspberrypi\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 raspberrypi\n",
    "etc/resolv.conf": "",
    "etc/machine-id": "uninitialized\n",
    "etc/fstab": (
        "proc /proc proc defaults 0 0\n"
        "PARTUUID={label_id}-01 /boot/firmware vfat defaults 0 2\n"
        "PARTUUID={label_id}-02 / ext4 defaults,noatime 0 1\n"
    ),
    "etc/systemd/network/20-wired.network": "[Match]\nType=ether\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
    # As on Raspberry Pi OS, whose journal lies in memory.
    "usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf": "[Journal]\nStorage=volatile\n",
    "etc/cloud/cloud.cfg.d/99_raspberry-pi.cfg": (
        "datasource_list: [NoCloud, None]\ndatasource:\n  NoCloud:\n    seedfrom: file:///boot/firmware\n"
    ),
    # Empty is masked: it would ask at the console. Raspberry Pi OS has all that it asks for.
    "etc/systemd/system/systemd-firstboot.service": "",
    "etc/rpi-issue": "Raspberry Pi reference (an equivalent, of Debian's packages)\n",
    "etc/modules-load.d/vivid.conf": "vivid\n",
    "etc/modprobe.d/vivid.conf": "options vivid n_devs=1 node_types=0x1\n",
    "etc/systemd/system/board-probe.service": (
        "[Unit]\nDefaultDependencies=no\nAfter=sysinit.target\n[Service]\nStandardOutput=tty\nTTYPath=/dev/console\n"
        "ExecStart=/usr/local/sbin/board-probe\n"
    ),
}
SEEDS = {
    "user-data": "#cloud-config\n",
    "meta-data": "dsmode: local\ninstance_id: rpios-image\n",
    "network-config": "# network-config\n",
    "config.txt": "arm_64bit=1\nauto_initramfs=1\n",
    "issue.txt": "Raspberry Pi reference 2026-06-18\nGenerated using pi-gen, stage2\n",
    "cmdline.txt": (
        "console=serial0,115200 console=tty1 root=PARTUUID={label_id}-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
    ),
}
LABEL_ID = "5eed0013"
BOOT_AT_MIB, BOOT_MIB, ROOT_MIB, CARD_MIB = 4, 512, 1530, 2048
ROOT_AT_MIB = BOOT_AT_MIB + BOOT_MIB


def apt() -> list[str]:
    """Return apt-get's arguments for arm64 packages of trixie, beside this system's own."""
    folder = steps.CACHE / "apt"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = folder / "sources.list"
    source.write_text(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {MIRROR} trixie main\n"
    )
    settings = {
        "Dir::State": folder / "state", "Dir::State::status": "/dev/null", "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": source, "Dir::Etc::sourceparts": "/dev/null", "Dir::Etc::parts": "/dev/null",
        "APT::Architecture": "arm64", "APT::Architectures::": "arm64", "APT::Sandbox::User": "root",
    }  # fmt: skip
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def packages(folder: Path) -> None:
    """Unpack kernels (of 4-KiB and of 16-KiB pages) and a busybox of arm64 into folders of their names."""
    options = apt()
    run("apt-get", *options, "-qq", "update")
    for name, package in (
        ("4k", "linux-image-arm64"),
        ("16k", "linux-image-arm64-16k"),
        ("busybox", "busybox-static"),
    ):
        if name != "busybox":
            lines = run("apt-cache", *options, "depends", package).splitlines()
            package = next(line.split()[1] for line in lines if "Depends: linux-image-6" in line)
        run("apt-get", *options, "-qq", "download", package, cwd=folder)
        deb = next(folder.glob("*.deb"))
        run("dpkg-deb", "-x", deb, folder / name)
        deb.unlink()
        if name != "busybox":
            (folder / name / "lib").symlink_to("usr/lib")
            run("depmod", "-b", folder / name, next((folder / name / "lib/modules").iterdir()).name)


def modules_of(kernel: Path, names: list[str]) -> list[Path]:
    """Return the files of modules and of what they need, in the order in which they load."""
    version = next((kernel / "usr/lib/modules").iterdir()).name
    found: dict[Path, None] = {}
    for name in names:
        lines = run("modprobe", "-d", kernel, "-S", version, "--show-depends", name)
        found |= {
            Path(line.split()[1]): None for line in lines.splitlines() if line.startswith("insmod")
        }
    return list(found)


def initrd(kernel: Path, busybox: Path, target: Path) -> None:
    """Write an initial RAM disk: a busybox that loads modules and mounts what `root=` names."""
    folder = target.with_suffix(".d")
    for name in ("bin", "dev", "proc", "sys", "modules", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox / "usr/bin/busybox", folder / "bin/busybox")
    for number, path in enumerate(modules_of(kernel, IN_INITRD)):
        name = f"{number:02}-{path.name.removesuffix('.xz')}"
        (folder / "modules" / name).write_bytes(lzma.decompress(path.read_bytes()))
    shutil.copy(HERE / "initrd_init.sh", folder / "init")
    (folder / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=folder,
        input=names.encode(),
        capture_output=True,
        check=True,
    )
    target.write_bytes(gzip.compress(packed.stdout, 6))
    shutil.rmtree(folder)


def system(folder: Path, kernels: Path) -> None:
    """Make the root file system, as far as packages' scripts would have."""
    root = folder / "root"
    links = 'for d in lib bin sbin; do mkdir -p "$1/usr/$d"; ln -s usr/$d "$1/$d"; done'
    run("mmdebstrap", "--architectures=arm64", "--variant=extract", f"--include={','.join(PACKAGES)}",
        f"--setup-hook={links}", "trixie", root, MIRROR)  # fmt: skip
    for name in (
        "boot/firmware",
        "media",
        "mnt",
        "opt",
        "srv",
        "var/log",
        "usr/local/bin",
        "usr/local/sbin",
        "root",
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group"):
        shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / f"etc/{name}")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.replace("{label_id}", LABEL_ID))
    shutil.copy(HERE / "probe.sh", root / "usr/local/sbin/board-probe")
    (root / "usr/local/sbin/board-probe").chmod(0o755)
    run("systemd-sysusers", f"--root={root}")
    for unit, target in ENABLED.items():
        wants = root / f"etc/systemd/system/{target}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        where = "etc" if (root / f"etc/systemd/system/{unit}").exists() else "usr/lib"
        (wants / unit).symlink_to(f"/{where}/systemd/system/{unit}")
    for name, target in (("nc", "nc.openbsd"), ("awk", "mawk")):
        (root / "usr/bin" / name).symlink_to(target)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(
        b"".join(path.read_bytes() for path in certificates)
    )
    for page in ("4k", "16k"):
        for path in modules_of(kernels / page, MODULES):
            inside = root / path.relative_to(kernels / page).as_posix().removeprefix(
                "usr/"
            ).replace("lib/", "usr/lib/", 1)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, inside)
        version = next((kernels / page / "usr/lib/modules").iterdir()).name
        shutil.copy(
            kernels / page / f"usr/lib/modules/{version}/modules.builtin",
            root / f"usr/lib/modules/{version}",
        )
        run("depmod", "-b", root, version)
    _compile(root)


def _compile(root: Path) -> None:
    """Compile its Python modules, as their packages' scripts would have; emulated, that takes two minutes."""
    folders = ("/usr/lib/python3.13", "/usr/lib/python3")
    python = os.environ.get("PYTHON313")
    if python:
        run(
            python,
            "-m",
            "compileall",
            "-q",
            "-j",
            "2",
            "-s",
            root,
            "-p",
            "/",
            *(f"{root}{folder}" for folder in folders),
        )
    else:
        run("chroot", root, "/usr/bin/python3", "-m", "compileall", "-q", "-j", "2", *folders)


def image(folder: Path, root: Path, kernels: Path) -> None:
    """Write the card's image as its maker would: nothing of this project is in it."""
    boot = folder / "boot"
    boot.mkdir()
    for name, text in SEEDS.items():
        (boot / name).write_text(text.replace("{label_id}", LABEL_ID))
    for page, name in (("4k", "8"), ("16k", "_2712")):
        shutil.copy(next((kernels / page / "boot").glob("vmlinuz-*")), boot / f"kernel{name}.img")
        initrd(kernels / page, kernels / "busybox", boot / f"initramfs{name}")
    shutil.copy(next((kernels / "4k").rglob("bcm2837-rpi-3-b.dtb")), boot / "bcm2710-rpi-3-b.dtb")
    card = folder / "card.img"
    with card.open("wb") as file:
        file.truncate(CARD_MIB << 20)
    table = f"label: dos\nlabel-id: 0x{LABEL_ID}\n{BOOT_AT_MIB}MiB,{BOOT_MIB}MiB,c\n{ROOT_AT_MIB}MiB,{ROOT_MIB}MiB,83\n"
    run("sfdisk", "-q", card, input=table)
    run(
        "mkfs.vfat",
        "-F",
        "32",
        "-n",
        "bootfs",
        f"--offset={BOOT_AT_MIB * 2048}",
        card,
        str(BOOT_MIB << 10),
    )
    run("mcopy", "-s", "-i", f"{card}@@{BOOT_AT_MIB}M", *sorted(boot.iterdir()), "::/")
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "rootfs",
        "-d",
        root,
        "-E",
        f"offset={ROOT_AT_MIB << 20}",
        card,
        f"{ROOT_MIB}M",
    )
    shutil.rmtree(boot)
