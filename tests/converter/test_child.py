"""A child process fails with one sentence and keeps its log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from converter.child import run_child
from edge.errors import DependencyError, ModelError


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Return a function that puts a module where the child finds it."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def write(text):
        (tmp_path / "job_module.py").write_text(text)
        return "job_module"

    return write


def test_noise_goes_nowhere_when_all_went_well(modules, tmp_path, capfd):
    module = modules(
        "import sys, pathlib\nprint('noise')\n(pathlib.Path(sys.argv[1]) / 'out').touch()"
    )

    run_child(module, tmp_path, purpose="convert")

    assert (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.log"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('noise')\nraise ValueError('too green')", "ValueError: too green"),
        ("import os\nprint('noise', flush=True)\nos.abort()", "ended by SIGABRT"),
        ("raise SystemExit(3)", "exit status 3"),
    ],
    ids=["exception", "abort", "silence"],
)
def test_a_failure_is_one_sentence_that_names_the_log(text, words, modules, tmp_path):
    with pytest.raises(ModelError) as caught:
        run_child(modules(text), tmp_path, purpose="convert this graph")

    message = str(caught.value)
    assert message.startswith("TensorFlow cannot convert this graph: ")
    assert words in message
    assert "\n" not in message
    log = Path(re.search(r"its log is (\S+)$", message)[1])
    assert log.exists()


def test_a_missing_tensorflow_is_said_with_what_to_type(modules, tmp_path):
    text = "raise ModuleNotFoundError(\"No module named 'tensorflow'\")"

    with pytest.raises(DependencyError, match=r"pip install 'edge-vision\[converter\]'"):
        run_child(modules(text), tmp_path, purpose="convert")
