"""A board is told from its device tree; what no profile names is told by its processor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boards import profile as profiles
from boards.detect import COMPATIBLE, MAX_BYTES, choose, detect
from edge.errors import ConfigError

pytestmark = pytest.mark.board

TREES = Path(__file__).parent / "trees"
ALL = profiles.load_all()


@pytest.mark.parametrize(
    ("tree", "name", "reason"),
    [
        pytest.param("pi5", "pi5", "says raspberrypi,5-model-b", id="Pi 5"),
        pytest.param("zero2w", "zero2w", "says raspberrypi,model-zero-2-w", id="Zero 2 W"),
        pytest.param(
            "pi400", "pi4", "no profile names raspberrypi,400, but its chip is brcm,bcm2711",
            id="Pi 400 by its chip",
        ),
        pytest.param("orin-nano", "orin-nano", "p3768-0000+p3767-0005", id="Orin Nano"),
        pytest.param("orin-nx-super", "orin-nx", "p3767-0000-super", id="Orin NX, super"),
        pytest.param("jetson-nano", "jetson-nano", "nvidia,p3450-0000", id="Jetson Nano"),
        pytest.param("rock5", "aarch64", "no profile names radxa,rock-5b", id="another maker"),
        pytest.param("pc", "aarch64", "no device tree", id="a PC"),
    ],
)  # fmt: skip
def test_a_board_is_told_from_its_device_tree(monkeypatch, tree, name, reason):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    board = detect(TREES / tree, ALL)

    assert board.name == name
    assert reason in board.reason


def test_the_model_text_and_the_memory_are_for_show():
    board = detect(TREES / "zero2w", ALL)

    assert board.model == "Raspberry Pi Zero 2 W Rev 1.0"
    assert board.ram_mib == 437136 // 1024
    assert board.cores == os.cpu_count()


def test_every_profile_is_found_by_its_own_strings():
    for profile in ALL:
        for text in profile.compatible:
            assert choose((text, "maker,chip"), ALL)[0] is profile


def test_a_pi_is_matched_by_its_first_string_only():
    chosen, _ = choose(("somebody,clone", "raspberrypi,5-model-b"), ALL, machine="aarch64")

    assert chosen.name == "aarch64"


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        pytest.param("x86_64", "x86-64", id="a PC"),
        pytest.param("aarch64", "aarch64", id="a board that nobody has described"),
    ],
)
def test_what_no_profile_names_is_told_by_its_processor(machine, name):
    chosen, reason = choose((), ALL, machine=machine)

    assert chosen.name == name
    assert f"its processor is {machine}" in reason


def test_another_processor_has_no_profile_and_a_sentence():
    chosen, reason = choose((), ALL, machine="armv7l")

    assert chosen is None
    assert reason.endswith(
        "no profile fits the processor armv7l: edge-vision needs a 64-bit system, as its packages "
        "have no other builds"
    )


def test_a_32_bit_system_on_a_64_bit_kernel_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr("sys.maxsize", 2**31 - 1)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    board = detect(TREES / "pi5", ALL)

    assert board.profile is None
    assert board.reason.startswith("its system is 32-bit (aarch64): edge-vision needs a 64-bit")


def test_an_empty_folder_is_a_machine_that_says_nothing(tmp_path):
    board = detect(tmp_path, ALL)

    assert (board.compatible, board.model, board.ram_mib) == ((), "", None)


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="expected the root folder of a system"):
        detect(tmp_path / "gone", ALL)


def test_a_device_tree_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / COMPATIBLE).mkdir(parents=True)

    with pytest.raises(ConfigError, match="expected a readable file, found: Is a directory"):
        detect(tmp_path, ALL)


def test_no_more_than_a_bounded_part_of_a_file_is_read(tmp_path):
    file = tmp_path / COMPATIBLE
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * (MAX_BYTES + 1))

    assert len(detect(tmp_path, ALL).compatible[0]) == MAX_BYTES


@given(data=st.binary(max_size=100))
def test_any_bytes_give_a_board_and_a_reason(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "any"
    file = root / COMPATIBLE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)

    assert detect(root, ALL).reason
