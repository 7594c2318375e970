"""Files of a FAT are found and written as fsck.fat and mtools see it."""

from __future__ import annotations

import io
import random
import shutil
import subprocess

import card_images
import pytest

from boards.flash.fat import Fat
from edge.errors import BoardError

pytestmark = pytest.mark.board

LONG = "edge/wheels/opencv_python_headless-5.0.{}-cp37-abi3-manylinux_2_28_aarch64.whl"
KINDS = [
    pytest.param(card_images.fat16, 4, id="FAT16"),
    pytest.param(card_images.fat32, 34, id="FAT32"),
]


def filled(make, mib):
    """Return a FAT on which 60 files were written, and what they hold."""
    disk = io.BytesIO(make({"cmdline.txt": b"old\n", "config.txt": b"x" * 1200}, mib=mib))
    fat, numbers = Fat(disk, 0), random.Random(7)
    files = {LONG.format(index): numbers.randbytes(numbers.randrange(6000)) for index in range(60)}
    files |= {"cmdline.txt": b"new" * 700, "empty": b"", "edge/Ünïcode ß.txt": b"1"}
    for path, data in files.items():
        fat.write(path, data)
    fat.flush()
    return disk, files | {"config.txt": b"x" * 1200}


@pytest.mark.parametrize(("make", "mib"), KINDS)
def test_what_was_written_is_read_again_by_another_reader(make, mib):
    disk, files = filled(make, mib)

    fat = Fat(disk, 0)
    assert {path: fat.read(path) for path in files} == files
    assert sorted(fat.names()) == ["cmdline.txt", "config.txt", "edge", "empty"]
    assert "EDGE/WHEELS/" + LONG.format(3).rpartition("/")[2].upper() in fat


@pytest.mark.parametrize(("make", "mib"), KINDS)
def test_fsck_finds_no_fault_and_mtools_reads_every_file(make, mib, tmp_path):
    missing = [tool for tool in ("fsck.fat", "mtype") if not shutil.which(tool)]
    if missing:
        pytest.skip(f"{missing[0]} is missing; type: sudo apt install dosfstools mtools")
    disk, files = filled(make, mib)
    path = tmp_path / "fat"
    path.write_bytes(disk.getvalue())

    checked = subprocess.run(["fsck.fat", "-n", path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    for name in (
        LONG.format(0),
        LONG.format(59),
        "cmdline.txt",
        "config.txt",
        "edge/Ünïcode ß.txt",
    ):
        shown = subprocess.run(["mtype", "-i", path, f"::{name}"], capture_output=True, check=False)
        assert shown.stdout == files[name], shown.stderr


def test_a_file_that_is_written_again_gives_its_old_clusters_back():
    disk = io.BytesIO(card_images.fat16({"a.txt": b"x" * 5000}))
    fat = Fat(disk, 0)
    before = fat.free_bytes

    fat.write("a.txt", b"y" * 400)

    assert fat.free_bytes - before == 9 * 512  # of ten clusters one is kept
    assert fat.read("a.txt") == b"y" * 400


def test_a_full_partition_says_what_is_missing():
    fat = Fat(io.BytesIO(card_images.fat16({}, free=100)), 0)

    with pytest.raises(BoardError, match=r"is full: 0\.2 MiB are missing"):
        fat.write("big", bytes(250_000))


def test_a_full_root_folder_of_a_fat16_is_said():
    fat = Fat(io.BytesIO(card_images.fat16({})), 0)

    for index in range(256):  # 512 entries, two for each
        fat.write(f"file-{index}", b"")

    with pytest.raises(BoardError, match="root folder of the boot partition is full"):
        fat.write("one-more", b"")


@pytest.mark.parametrize("name", ["a:b", "a?", "..", "x" * 256, "new\nline"])
def test_a_name_that_no_fat_takes_is_refused(name):
    fat = Fat(io.BytesIO(card_images.fat16({})), 0)

    with pytest.raises(BoardError, match="takes no file of that name"):
        fat.write(name, b"1")


def test_an_image_that_ends_inside_its_boot_partition_is_said():
    data = card_images.fat16({"a": b"x" * 3000})[:30_000]

    with pytest.raises(BoardError, match="truncated"):
        Fat(io.BytesIO(data), 0).read("a")


@pytest.mark.parametrize(
    "damage", [bytes(512), b"\xff" * 510 + b"\x55\xaa", b"\0" * 510 + b"\x55\xaa"]
)
def test_what_is_no_fat_is_one_sentence(damage):
    with pytest.raises(BoardError, match="expected a FAT"):
        Fat(io.BytesIO(damage + bytes(4096)), 0)


def test_a_table_that_runs_in_a_circle_ends():
    data = bytearray(card_images.fat16({"a": b"x" * 1500}))
    data[512 + 2 * 4 : 512 + 2 * 5] = b"\x02\x00"

    with pytest.raises(BoardError, match="circle"):
        Fat(io.BytesIO(data), 0).read("a")
