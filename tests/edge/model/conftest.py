"""A delegate's library, compiled for the tests, and a model that it can run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge.model.delegates import EDGE_TPU_OP

SOURCE = Path(__file__).resolve().parents[2] / "reference" / "stand_in_delegate.c"


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Return the path of the stand-in, under the name of the Edge TPU's library."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on the PATH: neither cc nor gcc")
    path = tmp_path_factory.mktemp("library") / "libedgetpu.so.1"
    words = [compiler, "-std=c99", "-shared", "-fPIC", "-o", str(path), str(SOURCE)]
    subprocess.run(words, check=True)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a model as it was, and as a compiler for the Edge TPU leaves it."""
    pytest.importorskip("ai_edge_litert", reason="the model is written with LiteRT's schema")
    from reference import tiny_segmenter  # noqa: PLC0415 - a board may have another runtime

    folder = tmp_path_factory.mktemp("models")
    plain = tiny_segmenter.write(folder / "my.tflite")
    compiled = tiny_segmenter.write(folder / "my.edgetpu.tflite", custom_op=EDGE_TPU_OP)
    return plain, compiled
