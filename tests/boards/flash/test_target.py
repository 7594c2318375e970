"""A disk of this machine is never erased, nor what is mounted, nor what looks like no card."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from boards.flash import target
from edge.errors import ConfigError

pytestmark = pytest.mark.board

GIB = 2**30


@pytest.fixture
def system(tmp_path):
    """Return a folder that says of devices what a kernel does."""
    root = tmp_path / "root"
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("")
    (root / "proc/swaps").write_text("Filename Type\n")
    return root


def add_disk(root, *, gib=32, where="pci0/usb2/host6/block/sdb", removable=0, ro=0, number="8:16"):
    disk = root / "sys/devices" / where
    facts = {"dev": number, "size": gib * GIB // 512, "removable": removable, "ro": ro,
             "device/vendor": "SanDisk ", "device/model": "Ultra   "}  # fmt: skip
    part = {f"{disk.name}1/{key}": value for key, value in (("partition", 1), ("dev", "8:17"))}
    for name, value in (facts | part).items():
        path = disk / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    links = root / "sys/dev/block"
    links.mkdir(parents=True, exist_ok=True)
    (links / number).symlink_to(disk)
    (links / "8:17").symlink_to(disk / f"{disk.name}1")
    return disk


def look(root, number="8:16", *, max_gib=256, internal=False):
    device = os.makedev(*map(int, number.split(":")))
    return target._disk(Path("/dev/sdb"), device, max_gib=max_gib, internal=internal, root=root)


def test_a_card_in_a_reader_is_taken(system):
    add_disk(system)

    found = look(system)

    assert (found.title, found.size) == ("SanDisk Ultra", 32 * GIB)


def test_the_next_card_in_the_same_reader_is_another(system):
    disk = add_disk(system)
    (disk / "diskseq").write_text("7\n")
    first = look(system)
    assert look(system) == first

    (disk / "diskseq").write_text("8\n")

    assert look(system) != first


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        pytest.param(
            {"gib": 512},
            "at most 256 GiB, found SanDisk Ultra of 512 GiB.*--max-gib 512",
            id="large",
        ),
        pytest.param(
            {"where": "pci0/ata1/block/sdb"},
            "a disk inside this machine; .*--internal",
            id="inside",
        ),
        pytest.param({"gib": 0}, "expected a card in it, found none", id="empty reader"),
        pytest.param({"ro": 1}, "write-protected", id="write-protected"),
    ],
)
def test_what_is_no_card_is_refused_with_the_way_out(system, disk, said):
    add_disk(system, **disk)

    with pytest.raises(ConfigError, match=said):
        look(system)


def test_an_override_takes_a_large_disk_inside(system):
    add_disk(system, gib=512, where="pci0/ata1/block/sdb")

    assert look(system, max_gib=512, internal=True).size == 512 * GIB


def test_a_partition_is_refused(system):
    add_disk(system)

    with pytest.raises(ConfigError, match="expected a whole card, found a partition of /dev/sdb"):
        look(system, "8:17")


@pytest.mark.parametrize("place", ["/", "/boot/firmware", "/home"])
def test_the_systems_own_disk_is_refused_whatever_is_said(system, place):
    add_disk(system)
    (system / "proc/self/mountinfo").write_text(f"22 1 8:17 / {place} rw - ext4 /dev/sdb1 rw\n")

    with pytest.raises(ConfigError, match=r"own system.*never erased"):
        look(system, max_gib=10**6, internal=True)


def test_a_disk_of_swap_or_of_a_volume_group_is_refused(system):
    disk = add_disk(system)
    (system / "proc/swaps").write_text("Filename Type\n/dev/sdb1 partition 1 0 -2\n")
    with pytest.raises(ConfigError, match="swap"):
        look(system)

    (system / "proc/swaps").write_text("Filename Type\n")
    (disk / "sdb1/holders/dm-0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="dm-0"):
        look(system)


def test_a_mounted_card_says_how_to_unmount_it(system):
    add_disk(system)
    row = "22 1 8:17 / /media/anna/my\\040card rw - vfat /dev/sdb1 rw\n"
    (system / "proc/self/mountinfo").write_text(row)

    said = re.escape("mounted at /media/anna/my card; type: sudo umount /dev/sdb1")
    with pytest.raises(ConfigError, match=said):
        look(system)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/dev/no-such-card", "found none; list the devices with: lsblk"),
        ("/no/such/folder/card.img", "found none"),
        ("/dev/null", "a block device or a file, found something else"),
        ("/usr", "a block device or a file, found a folder"),
    ],
)
def test_what_is_no_target_is_refused(path, said):
    with pytest.raises(ConfigError, match=said):
        target.look(Path(path), max_gib=256)
