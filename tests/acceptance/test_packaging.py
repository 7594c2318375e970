"""The wheel made of the tracked files holds what a board needs, and asks for no more."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge", "calibration", "converter", "boards")
MIB = 2**20

if not (ROOT / ".git").exists():
    pytest.skip("not a git checkout, so nothing says what is shipped", allow_module_level=True)


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file() and name]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build it in a copy: leftovers of an earlier build in the working tree would get in."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in tracked_files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."]
    built = subprocess.run(
        [*command, "--wheel-dir", str(out)], cwd=tree, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("edge_vision-*.whl")
    return path


@pytest.fixture(scope="module")
def members(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {info.filename: info.file_size for info in archive.infolist()}


def metadata_file(wheel, name):
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (entry for entry in archive.namelist() if entry.endswith(f"dist-info/{name}"))
        return archive.read(member).decode()


def test_a_board_is_asked_for_seven_packages_and_no_more(wheel):
    asked = email.message_from_string(metadata_file(wheel, "METADATA")).get_all("Requires-Dist")
    base = {re.split("[<>=;]", line)[0] for line in asked if "extra ==" not in line}

    assert base == {
        "ai-edge-litert", "msgspec", "numpy", "opencv-python-headless", "paho-mqtt", "shtab",
        "tomli", "tqdm",
    }  # fmt: skip
    (tomli,) = (line for line in asked if line.startswith("tomli"))
    assert 'python_version < "3.11"' in tomli


def test_it_says_which_pythons_and_which_licence(wheel):
    headers = email.message_from_string(metadata_file(wheel, "METADATA"))

    assert headers["Requires-Python"] == "<3.15,>=3.10"
    assert headers["License-Expression"] == "Apache-2.0"
    assert set(headers.get_all("License-File")) == {"LICENSE", "NOTICE"}


def test_the_four_commands_are_there(wheel):
    parser = ConfigParser()
    parser.read_string(metadata_file(wheel, "entry_points.txt"))

    assert dict(parser["console_scripts"]) == {
        "edge": "edge.__main__:main",
        "edge-convert": "converter.__main__:main",
        "edge-calibrate": "calibration.__main__:main",
        "edge-board": "boards.__main__:main",
    }


def test_every_tracked_file_of_the_packages_is_inside_and_nothing_else(members):
    tracked = {
        name for name in tracked_files() if name.startswith(tuple(f"{p}/" for p in PACKAGES))
    }
    inside = {name for name in members if ".dist-info/" not in name}

    assert inside == tracked


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("edge/model/default/*.tflite", id="default model"),
        pytest.param("edge/capture/scenes/*.jpg", id="scenes"),
        pytest.param("boards/profiles/*.toml", id="board profiles"),
        pytest.param("converter/quantize/recipes/*.json", id="recipes"),
        pytest.param("edge/py.typed", id="type marker"),
    ],
)
def test_the_data_is_inside(members, pattern):
    assert [name for name in members if Path(name).match(pattern)]


def test_it_is_small(wheel, members):
    assert all(size <= 6 * MIB for name, size in members.items() if name.endswith(".tflite"))
    assert wheel.stat().st_size <= 10 * MIB


def test_it_runs_from_where_it_was_unpacked(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import edge, pathlib; print(pathlib.Path(edge.__file__).parents[1])"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    where = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-m", "edge", "--help"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert Path(where.stdout.strip()) == tmp_path
    assert shown.returncode == 0, shown.stderr
    assert "inspect" in shown.stdout
