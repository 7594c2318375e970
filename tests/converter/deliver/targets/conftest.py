"""A stand-in for Google's Edge TPU compiler on the PATH."""

from __future__ import annotations

import shlex
import stat
import sys

import pytest

# Obeys the command line of version 16: `edgetpu_compiler -s -o DIR FILE`, the result in DIR, its
# name that of the input with `_edgetpu` behind. What it prints is what version 16 prints.
STAND_IN = """
import os, pathlib, sys, time
assert sys.argv[1:3] == ["-s", "-o"], sys.argv
folder, source = map(pathlib.Path, sys.argv[3:])
print("Edge TPU Compiler version 16.0.384591198", flush=True)
deed = os.environ["STAND_IN"]
if deed == "hang":
    time.sleep(60)
if deed == "refuse":
    print("ERROR: Didn't find op for builtin opcode 'EXP' version '2'.\\n")
    print("ERROR: Registration failed.\\n")
    print("Invalid model: model.tflite\\nModel could not be parsed")
    sys.exit(1)
made = folder / f"{source.stem}_edgetpu.tflite"
if deed == "garbage":
    made.write_bytes(bytes(range(256)) * 4)
if deed in ("all", "some"):
    made.write_bytes(source.read_bytes())
    print("Off-chip memory used for streaming uncached model parameters: 1.70MiB")
    print("Total number of operations: 36")
if deed == "some":
    print("Number of operations that will run on Edge TPU: 2")
    print("Number of operations that will run on CPU: 34")
"""


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Return a function that puts the stand-in on the PATH and says what it shall do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "edgetpu_compiler"
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    # By a shell, since the first line of a script can't name a Python in a folder with a space.
    words = shlex.join([sys.executable, str(script)])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def prepare(deed):
        monkeypatch.setenv("STAND_IN", deed)
        monkeypatch.setenv("PATH", str(folder))
        return program

    return prepare
