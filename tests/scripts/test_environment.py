"""Which Python the scripts take, of those that a machine has."""

from __future__ import annotations

import shutil
import subprocess

import pytest

pytestmark = [
    pytest.mark.board,
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]


@pytest.fixture
def answers(root, tmp_path):
    """Return what a line of bash says on a machine with Pythons of these versions only."""

    def run(line, *versions):
        programs = tmp_path / "programs"
        programs.mkdir(exist_ok=True)
        for version in versions:
            path = programs / f"python{version}"
            path.write_text(f'#!/bin/sh\necho "{version} cpython 64 venv {path}"\n')
            path.chmod(0o755)
        for name in ("awk", "cut", "dirname", "grep", "paste", "sed", "sh", "sort"):
            if not (programs / name).exists():
                (programs / name).symlink_to(shutil.which(name))
        done = subprocess.run(
            [shutil.which("bash"), "-uc", f'source "{root}/scripts/environment.sh"\n{line}'],
            env={"PATH": str(programs), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip()

    return run


WITH_CONVERTER = 'PYTHONS=("${WITH_TENSORFLOW[@]}"); '


def test_python_3_14_serves_where_there_is_no_other(answers):
    assert answers('find_python && echo "$REPLY"', "3.14").endswith("/python3.14")


def test_one_that_the_converter_runs_on_as_well_goes_before(answers):
    assert answers('find_python && echo "$REPLY"', "3.10", "3.13", "3.14").endswith("/python3.13")


def test_a_named_version_is_found(answers):
    assert answers('find_python 3.14 && echo "$REPLY"', "3.13", "3.14").endswith("/python3.14")


@pytest.mark.parametrize("version", ["3.9", "3.15", "3.140"])
def test_others_are_not_taken(answers, version):
    assert answers("find_python || explain_no_python", version).startswith("edge-vision needs")


def test_the_converter_says_why_3_14_does_not_do(answers):
    said = answers(f"{WITH_CONVERTER} find_python || explain_no_python", "3.14")

    assert "3.10, 3.11, 3.12, 3.13 (TensorFlow has no build for a later one)" in said
    assert "found" in said


def test_extras_with_the_converter_narrow_the_choice_and_others_do_not(answers):
    tried = 'make_environment() { echo "${PYTHONS[*]}"; exit; }; ensure_environment x "" '

    assert "3.14" not in answers(f"{tried} demo converter", "3.14")
    assert "3.14" in answers(f"{tried} demo", "3.14")


def test_the_versions_are_those_of_the_project(answers, root):
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    listed = {line.split(":: ")[-1].strip('",') for line in text.splitlines() if ":: 3." in line}

    assert set(answers('echo "${PYTHONS[*]}"').split()) == listed
    assert 'requires-python = ">=3.10,<3.15"' in text
