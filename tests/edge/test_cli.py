from __future__ import annotations

import subprocess
import sys

import pytest

from edge import cli

pytestmark = pytest.mark.board

HEAVY = {"cv2", "numpy", "msgspec", "paho", "ai_edge_litert", "tflite_runtime", "tqdm", "shtab"}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["nothing"]], ids=" ".join)
def test_what_needs_no_model_loads_nothing_heavy(words):
    code = (
        "import sys; from edge import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )

    assert not HEAVY & set(done.stderr.split())


def test_each_verb_is_one_module_of_that_name():
    parser = cli.new_command()
    text = parser.format_help()

    names = [verb.__name__.rpartition(".")[2] for verb in cli.VERBS]
    assert names == [
        "run",
        "check",
        "doctor",
        "inspect",
        "prepare",
        "record",
        "watch",
        "demo",
        "eval",
        "bench",
    ]
    assert all(f"    {name} " in text for name in names)
