"""A bundle is laid into NVIDIA's tree; the commands that are printed name what lies there."""

from __future__ import annotations

import re

import card_images
import pytest

from boards.cli import main

pytestmark = pytest.mark.board

R36 = (
    "jetson-orin-nano-devkit.conf", "jetson-orin-nano-devkit-super.conf",
    "jetson-agx-orin-devkit.conf", "flash.sh", "tools/kernel_flash/l4t_initrd_flash.sh",
    "tools/l4t_create_default_user.sh", "tools/kernel_flash/flash_l4t_t234_nvme.xml",
    "bootloader/generic/cfg/flash_t234_qspi.xml", "rootfs/etc/nv_tegra_release",
)  # fmt: skip


NVME = (
    "sudo ./tools/kernel_flash/l4t_initrd_flash.sh --external-device nvme0n1p1 "
    "-c tools/kernel_flash/flash_l4t_t234_nvme.xml "
)
QSPI = "bootloader/generic/cfg/flash_t234_qspi.xml"
TAIL = "--showlogs --network usb0"
SUPER = "jetson-orin-nano-devkit-super"


def tree(folder, *, without=()):
    """Return a folder with the names of what Jetson Linux 36 has."""
    for name in R36:
        if name not in without:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    for name in ("usr/bin", "etc/systemd/system"):
        (folder / "rootfs" / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "rootfs/usr/bin/python3").is_symlink():
        (folder / "rootfs/usr/bin/python3").symlink_to("python3.10")
    return folder


def stage(tmp_path, *more, board="orin-nano", python=("3.10",)):
    bundle = tmp_path / "bundle"
    if not bundle.exists():
        card_images.bundle(bundle, python=python, profile=board)
    given = ["--l4t", str(tmp_path / "Linux_for_Tegra"), "--bundle", str(bundle), *more]
    return main(["stage", board, *given])


@pytest.mark.parametrize(
    ("board", "storage", "command"),
    [
        ("orin-nano", "nvme", f'{NVME}-p "-c {QSPI}" {TAIL} {SUPER} internal'),
        ("agx-orin", "nvme", f"{NVME}{TAIL} jetson-agx-orin-devkit external"),
        ("agx-orin", "internal", "sudo ./flash.sh jetson-agx-orin-devkit internal"),
    ],
)  # fmt: skip
def test_a_bundle_is_staged_and_the_commands_name_what_is_there(
    tmp_path, capsys, board, storage, command
):
    folder = tree(tmp_path / "Linux_for_Tegra")

    for _ in range(2):  # the second time finds what the first has left
        assert stage(tmp_path, "--storage", storage, board=board) == 0

    shown = capsys.readouterr().out
    assert f"  {command}\n" in shown
    assert "none was run by this program" in shown
    named = re.findall(r"\./(\S+)|-c (\S+?\.xml)", shown)
    assert all((folder / (script or layout)).exists() for script, layout in named)
    place = folder / "rootfs/var/lib/edge-install/bundle"
    for path in (tmp_path / "bundle").rglob("*"):
        if path.is_file():
            assert (place / path.relative_to(tmp_path / "bundle")).read_bytes() == path.read_bytes()
    unit = folder / "rootfs/etc/systemd/system/edge-firstboot.service"
    assert unit.read_bytes() == b"[Service]\n"
    link = unit.parent / "multi-user.target.wants/edge-firstboot.service"
    assert str(link.readlink()) == "/etc/systemd/system/edge-firstboot.service"


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("rootfs/etc/nv_tegra_release", "sudo ./apply_binaries.sh"),
        ("tools/kernel_flash/l4t_initrd_flash.sh", "found no tools/kernel_flash/l4t_initrd"),
        ("bootloader/generic/cfg/flash_t234_qspi.xml", "flash_t234_qspi.xml"),
    ],
)
def test_a_tree_that_lacks_something_is_refused(tmp_path, capsys, without, said):
    folder = tree(tmp_path / "Linux_for_Tegra", without=[without])

    assert stage(tmp_path) == 1

    assert said in capsys.readouterr().err
    assert not (folder / "rootfs/var").exists()


def test_the_board_without_super_has_its_own_configuration(tmp_path, capsys):
    tree(tmp_path / "Linux_for_Tegra", without=["jetson-orin-nano-devkit-super.conf"])

    assert stage(tmp_path) == 0

    assert "usb0 jetson-orin-nano-devkit internal" in capsys.readouterr().out


def test_wheels_for_another_python_are_refused(tmp_path, capsys):
    tree(tmp_path / "Linux_for_Tegra")

    assert stage(tmp_path, python=("3.12",)) == 1

    assert "expected wheels for Python 3.10" in capsys.readouterr().err


def test_a_raspberry_pi_is_not_staged(tmp_path, capsys):
    assert stage(tmp_path, board="pi5") == 2

    assert "expected a board of orin-nano, orin-nx, agx-orin, found pi5" in capsys.readouterr().err
