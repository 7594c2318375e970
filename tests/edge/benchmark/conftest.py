"""Fake boards: trees of `/sys`, and a `vcgencmd`; and a small model to measure."""

from __future__ import annotations

import pytest
from reference import tiny_segmenter


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    """Return the path of a small segmenter."""
    pytest.importorskip("ai_edge_litert")
    return tiny_segmenter.write(tmp_path_factory.mktemp("model") / "strongest.tflite").path


@pytest.fixture
def sys_tree(tmp_path):
    """Return a function that writes files of a board below a root, and returns the root."""

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def vcgencmd(tmp_path):
    """Return a function that puts a `vcgencmd` into a folder, and returns the folder."""

    def write(answers):
        cases = "\n".join(
            f"{question}) printf '%s' '{text}';;" for question, text in answers.items()
        )
        program = tmp_path / "bin" / "vcgencmd"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\n*) exit 1;;\nesac\n")
        program.chmod(0o755)
        return str(program.parent)

    return write
