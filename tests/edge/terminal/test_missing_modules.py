"""A command where a package, or a file of ours, cannot be imported."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from edge.terminal.command import FAILED

pytestmark = pytest.mark.board

# As after an installation that ended halfway, or of a file of ours that is gone.
MISSING_MODULE = """
import os, sys
from edge.terminal.entry import start

class Missing:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == os.environ["MISSING"]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
sys.exit(start(*os.environ["PROGRAM"].split()))
"""


def without_module(name, *words, program="edge edge.cli"):
    """Run a command, `edge` unless told, where a module cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", MISSING_MODULE, *words],
        env=os.environ | {"MISSING": name, "PROGRAM": program},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["numpy", "cv2", "paho"])
def test_a_package_that_is_missing_is_named_in_a_sentence(name):
    done = without_module(name, "run", "--source", "demo:", "--mqtt", "mqtt://127.0.0.1:9")
    assert done.returncode == FAILED
    assert done.stderr == (
        f"edge: {sys.executable} has no module {name!r}, which this needs; "
        f"install what is missing: {shlex.quote(sys.executable)} -m pip install edge-vision\n"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("numpy", ["--debug"]), ("edge.capture.picture", [])],
    ids=["--debug", "of ours"],
)
def test_a_missing_module_ends_in_a_traceback_where_that_tells_more(name, words):
    done = without_module(name, "run", *words, "--source", "demo:")
    assert f"ModuleNotFoundError: No module named {name!r}" in done.stderr


def test_the_converter_names_the_extra_that_it_needs():
    done = without_module("numpy", "inspect", "x", program="edge-convert converter.cli.command")
    assert done.returncode == FAILED
    assert done.stderr.endswith("-m pip install 'edge-vision[converter]'\n")
