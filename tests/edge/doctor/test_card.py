from __future__ import annotations

import os

import pytest

from edge.doctor import card

pytestmark = pytest.mark.board

# /proc/self/mountinfo: the fields behind the dash are the file system's, not the mount's.
MOUNTS = """\
22 27 0:20 / /proc rw,relatime shared:5 - proc proc rw
27 1 179:2 / / {0},noatime shared:1 - ext4 /dev/mmcblk0p2 {0}
31 27 0:23 / /run ro,nosuid shared:12 - tmpfs tmpfs ro,mode=755
40 31 254:0 /x /run/host ro,relatime - ext4 /dev/vda rw,discard
"""
EMMC = "sys/block/mmcblk0/device"


def test_a_file_system_with_errors_is_wrong(system):
    host = system(
        {"proc/self/mountinfo": MOUNTS.format("rw"), "sys/fs/ext4/mmcblk0p2/errors_count": "3\n"}
    )

    found = card.errors(host)

    assert (found.state, found.found) == ("wrong", "mmcblk0p2: 3 errors")
    assert "fsck.repair=yes" in found.mend


def test_a_root_that_became_read_only_is_wrong_unless_fstab_asks_for_it(system):
    found = card.errors(system({"proc/self/mountinfo": MOUNTS.format("ro")}))
    assert (found.state, "/dev/mmcblk0p2" in found.found) == ("wrong", True)

    fstab = "# a comment\n\nPARTUUID=1-02 / ext4 ro,noatime 0 1\n"
    assert card.errors(system({"etc/fstab": fstab})).state == "ok"


@pytest.mark.parametrize(
    ("life", "spare", "state"),
    [
        pytest.param("0x01 0x02", "0x01", "ok", id="young"),
        pytest.param("0x09 0x01", "0x01", "warning", id="worn"),
        pytest.param("0x0b 0x01", "0x01", "wrong", id="over"),
        pytest.param("0x01 0x01", "0x02", "warning", id="few blocks left"),
        pytest.param("0x01 0x01", "0x03", "wrong", id="hardly a block left"),
        pytest.param("0x00 0x00", "0x00", "not applicable", id="says nothing"),
    ],
)
def test_the_life_of_an_emmc_is_read_as_jedec_has_it(system, life, spare, state):
    host = system({f"{EMMC}/life_time": f"{life}\n", f"{EMMC}/pre_eol_info": f"{spare}\n"})

    assert card.wear(host).state == state


def test_an_sd_card_says_nothing_of_its_wear(system):
    assert card.wear(system({f"{EMMC}/name": "SD32G\n"})).state == "not applicable"


@pytest.mark.parametrize(
    ("free_mib", "free_files", "state"),
    [(5000, 900, "ok"), (300, 900, "warning"), (20, 900, "wrong"), (5000, 10, "warning")],
)
def test_room_is_told_in_bytes_and_in_files(system, monkeypatch, free_mib, free_files, state):
    block = 4096
    blocks = free_mib * 2**20 // block
    status = os.statvfs_result(
        (block, block, 10**6, blocks, blocks, 1000, free_files, free_files, 0, 255)
    )
    monkeypatch.setattr(os, "statvfs", lambda _: status)

    assert card.room(system()).state == state
