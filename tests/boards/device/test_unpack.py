"""A wheel is laid out as pip would: packages, programs, and what was compiled for it elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
from fake_wheels import make_wheel

from boards import bytecode
from boards.device import unpack
from edge.errors import BoardError

pytestmark = pytest.mark.board

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
MODULE = "def main():\n    return 3\n"


@pytest.fixture
def venv(tmp_path):
    folder = tmp_path / "venv"
    (folder / f"lib/python{PYTHON}/site-packages").mkdir(parents=True)
    return folder


def site(venv):
    return venv / f"lib/python{PYTHON}/site-packages"


def test_packages_and_programs_stand_where_pip_would_have_put_them(tmp_path, venv):
    wheel = make_wheel(
        tmp_path, "own",
        files={
            "own/": "", "own/__init__.py": MODULE, "own-1.0.data/scripts/tool": "#!python\nx\n",
            "own-1.0.dist-info/entry_points.txt": "[console_scripts]\nown = own:main\n",
        },
    )  # fmt: skip

    # The first line of a program takes no path with a blank, such as that of a folder of tests.
    (python := tmp_path / "python").symlink_to(sys.executable)
    unpack.lay_out(wheel, venv, python=str(python))

    environment = os.environ | {"PYTHONPATH": str(site(venv))}
    assert subprocess.run([venv / "bin/own"], env=environment, check=False).returncode == 3
    assert (venv / "bin/tool").read_text() == f"#!{python}\nx\n"
    assert os.access(venv / "bin/tool", os.X_OK)
    assert (site(venv) / "own-1.0.dist-info/METADATA").is_file()


@pytest.mark.parametrize("name", ["../out", "/out", "own-1.0.data/other/x"])
def test_a_file_that_would_lie_elsewhere_is_refused(tmp_path, venv, name):
    wheel = make_wheel(tmp_path, "own", files={name: ""})

    with pytest.raises(BoardError, match="expected a wheel"):
        unpack.lay_out(wheel, venv, python=sys.executable)


def test_a_wheel_that_is_none_is_refused(tmp_path, venv):
    (tmp_path / "own.whl").write_bytes(b"none")

    with pytest.raises(BoardError, match=r"own\.whl: expected a wheel"):
        unpack.lay_out(tmp_path / "own.whl", venv, python=sys.executable)


def test_modules_compiled_for_a_bundle_run_in_the_place_of_their_sources(tmp_path, venv):
    wheels = tmp_path / "wheels"
    own = make_wheel(wheels, "own", files={"own/__init__.py": "said = 1\n", "own/tests/a.py": ""})
    made = bytecode.make(wheels, [own.name], PYTHON)
    for wheel in (own, made):
        unpack.lay_out(wheel, venv, python=sys.executable)
    (site(venv) / "own/__init__.py").write_text("said = 2\n")  # which nobody reads

    program = [sys.executable, "-c", "import own; print(own.said)"]
    environment = os.environ | {"PYTHONPATH": str(site(venv))}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == "1\n"
    with zipfile.ZipFile(made) as packed:
        assert not [name for name in packed.namelist() if "tests" in name]


def test_the_same_modules_give_the_same_bytes_and_a_python_that_is_not_here_none(tmp_path):
    own = make_wheel(tmp_path, "own", files={"own/__init__.py": "x = {'a', 'b', 'c'}\n"})

    first = bytecode.make(tmp_path, [own.name], PYTHON).read_bytes()

    assert bytecode.make(tmp_path, [own.name], PYTHON).read_bytes() == first
    assert bytecode.make(tmp_path, [own.name], "3.9") is None
