"""The Edge TPU compiler's command line, and what is made of its failures: a stand-in obeys it."""

from __future__ import annotations

import time

import pytest

from converter import export
from converter.deliver.targets.edgetpu_compiler import compile_model, find_compiler
from edge.errors import ModelError
from edge.model import model_file
from edge.model.default import default_model_path


@pytest.fixture(scope="module")
def model():
    return model_file.read(default_model_path())


@pytest.mark.parametrize(
    ("deed", "counts"), [("all", (36, 0)), ("some", (2, 34))], ids=["all mapped", "some mapped"]
)
def test_what_it_makes_is_sealed_with_our_manifest(compiler, model, deed, counts, tmp_path):
    compiler(deed)

    done = compile_model(model, find_compiler())
    export.write(done.file, tmp_path / "c.tflite")
    written = model_file.read(tmp_path / "c.tflite")

    assert (done.on_tpu, done.on_cpu) == counts
    assert done.version == "16.0.384591198"
    assert "1.70MiB of weights streamed" in done.describe()
    # The stand-in gives back what it got: all weights inside the FlatBuffer.
    assert written.description.digest != model.description.digest
    assert written.manifest.provenance.tools["edgetpu_compiler"] == "16.0.384591198"
    assert written.manifest.provenance.changes.endswith("compiled for the Edge TPU")
    assert written.description.labels == model.description.labels
    assert (written.description.anchors == model.description.anchors).all()


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        ("refuse", "cannot compile this model: ERROR: Didn't find op for builtin opcode 'EXP'"),
        ("garbage", "damaged"),
        ("nothing", "made no model: Edge TPU Compiler version"),
    ],
)
def test_a_failure_is_one_sentence(compiler, model, deed, words):
    program = compiler(deed)

    with pytest.raises(ModelError) as caught:
        compile_model(model, program)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_compiler_that_hangs_is_ended(compiler, model):
    started = time.monotonic()

    with pytest.raises(ModelError, match=r"took over 0\.5 s"):
        compile_model(model, compiler("hang"), timeout_s=0.5)

    assert time.monotonic() - started < 20


def test_without_a_compiler_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_compiler() is None
