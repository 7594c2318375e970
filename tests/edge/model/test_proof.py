"""The proof at start: what computes a model as the converter saw it passes, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import factories
import numpy as np
import pytest

from edge import app
from edge.config import reading
from edge.errors import DelegateError, ModelError
from edge.model import backend, model_file, proof
from edge.model.backend import Ran
from edge.model.backends.litert import LiteRt
from edge.model.default import default_model_path
from edge.model.loaded import LoadedModel, load_model
from edge.model.quant import Quant
from edge.model.readers import manifest as manifests
from edge.model.readers.manifest import HeadProof

pytestmark = pytest.mark.board

CLASSES = 4


class Stand:
    """A backend that gives a head made of the input, or another one."""

    def __init__(self, change=lambda head: head, provider="cuda"):
        self.ran = Ran("stand-in", "1", provider)
        self._change = change

    def invoke(self, tensor, spec, *, out):
        ((role, output),) = spec.outputs.items()
        weights = np.linspace(-1, 1, 3 * CLASSES).reshape(3, CLASSES)
        real = tensor.astype(np.float64) @ weights
        out[role][:] = self._change(output.quant.quantize(real, output.dtype))


def spec_of(dtype=np.float32, quant=None):
    side = 20, 12
    head = factories.tensor("classes", (1, side[1], side[0], CLASSES), dtype=np.dtype(dtype),
                            quant=quant or Quant())  # fmt: skip
    return factories.segmentation_spec(head)


def stand(*args, dtype=np.float32, quant=None, **kwargs):
    spec = spec_of(dtype, quant)
    return LoadedModel(spec, Stand(*args, **kwargs), spec.description.thresholds())


def nan_in_a_corner(head):
    head[0, :2, :2] = np.nan
    return head


@pytest.mark.parametrize(
    ("dtype", "quant"), [(np.float32, None), (np.float16, None), (np.int8, Quant(2.5, 3))]
)
def test_the_same_values_pass(dtype, quant):
    stored = proof.take(stand(dtype=dtype, quant=quant))

    proof.check(stand(dtype=dtype, quant=quant), stored)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (nan_in_a_corner, "holds 16 values that are NaN or infinite"),
        (lambda head: head[..., ::-1], "cosine of 0"),
        (lambda head: np.roll(head, 4, axis=2), "cosine of 0"),
        (lambda head: head * 0, "cosine of "),
        (lambda head: head + 100, "cosine of "),
    ],
    ids=["nan", "channels", "moved", "zeros", "shifted"],
)
def test_other_values_end_the_run(change, words):
    stored = proof.take(stand())
    with pytest.raises(DelegateError, match=f"stand-in 1 on cuda does not compute .*{words}"):
        proof.check(stand(change), stored)


@pytest.mark.parametrize(
    ("quant", "dtype", "change"),
    [
        (Quant(2.5, 3), np.int8, lambda head: head + np.int8(1)),
        (None, np.float32, lambda head: head.astype(np.float16)),
        (None, np.float32, lambda head: head + np.random.default_rng(0).normal(0, 5, head.shape)),
    ],
    ids=["a quantum", "float16", "noise"],
)
def test_what_another_device_rounds_otherwise_passes(quant, dtype, change):
    """Of the last: 5 of a range of some 500."""
    stored = proof.take(stand(dtype=dtype, quant=quant))

    proof.check(stand(change, dtype=dtype, quant=quant), stored)


def test_a_head_that_hardly_moves_is_told_by_how_near_it_is():
    flat = stand(lambda head: head * 0 + 7)
    stored = proof.take(flat)

    proof.check(stand(lambda head: head * 0 + 7.1), stored)
    with pytest.raises(DelegateError, match="cosine"):
        proof.check(stand(lambda head: head * 0 + 9), stored)


def test_class_ids_are_the_same_or_not():
    stored = proof.take(stand(dtype=np.int32))

    proof.check(stand(dtype=np.int32), stored)
    with pytest.raises(DelegateError, match="of the stored class ids"):
        proof.check(stand(lambda head: head + 1, dtype=np.int32), stored)


def test_on_the_cpu_it_is_the_model_s_fault():
    with pytest.raises(ModelError, match="reinstall the runtime"):
        proof.check(stand(nan_in_a_corner, provider="cpu"), proof.take(stand()))


def test_values_of_another_model_are_refused_and_not_looked_up_beyond_the_head():
    far = {"classes": HeadProof(at=(10**9,), values=(1.0,))}
    with pytest.raises(DelegateError, match="fewer than the stored ones"):
        proof.check(stand(), far)


def test_a_model_that_gives_nan_here_is_not_sealed():
    with pytest.raises(ModelError, match="NaN"):
        proof.take(stand(nan_in_a_corner))


def test_the_pattern_is_the_same_everywhere():
    """Its bytes decide whether old files pass: another pattern is another manifest version."""
    image = proof.pattern((300, 200))

    assert image.shape == (200, 300, 3)
    assert manifests.digest_of(image.tobytes())[:23] == "sha256:50fe35954a8d304e"
    assert not np.array_equal(image, image[:, ::-1])


def test_the_shipped_model_brings_values_and_gives_them():
    file = model_file.read(default_model_path())

    assert file.manifest.proof.keys() == file.description.outputs.keys()
    proof.check(load_model(file), file.manifest.proof)


def test_values_and_places_belong_together(tmp_path):
    sealed = factories.manifest().plain()
    sealed["proof"] = {"boxes": {"at": [1, 2], "values": [0.5]}}
    with pytest.raises(ModelError, match="its manifest is wrong: proof"):
        manifests.parse(tmp_path, manifests.json.dumps(sealed).encode())


@pytest.fixture
def config():
    return reading.parse({"model": {}})


def test_a_run_ends_where_the_values_are_others(config, monkeypatch):
    file = model_file.read(default_model_path())
    real = LiteRt.invoke

    def wrong(self, tensor, spec, *, out):
        real(self, tensor, spec, out=out)
        out["boxes"][:] = out["boxes"][:, ::-1]

    monkeypatch.setattr(LiteRt, "invoke", wrong)
    with pytest.raises(ModelError, match="does not compute this model"):
        app.open_model(config, file, threads=1)


def test_an_accelerator_that_is_slower_than_the_cpu_is_named(monkeypatch, caplog):
    file = model_file.read(default_model_path())
    model = load_model(file)
    model.ran = Ran("litert", "2", "npu")
    times = iter([30.0, 8.0, 8.0, 30.0])
    monkeypatch.setattr(proof, "invoke_ms", lambda _: next(times))

    proof.tell(model, file, threads=2)
    assert "litert 2 on npu takes 30.0 ms for an invoke, the CPU 8.0 ms" in caplog.text
    caplog.clear()
    proof.tell(model, file, threads=2)
    assert not caplog.records


@pytest.fixture
def old(monkeypatch):
    """Return a file without stored values."""
    file = model_file.read(default_model_path())
    monkeypatch.setattr(proof, "invoke_ms", lambda _: 1.0)
    return replace(file, manifest=file.manifest.replace(proof={}))


def test_without_stored_values_the_cpu_s_count_and_a_difference_is_a_warning(
    old, caplog, monkeypatch
):
    model = load_model(old)
    model.ran = Ran("litert", "2", "npu")
    proof.tell(model, old, threads=1)
    assert not caplog.records

    real = model.invoke
    monkeypatch.setattr(model, "invoke", lambda *given, out: (real(*given, out=out),
                                                              out["boxes"].fill(0)))  # fmt: skip
    proof.tell(model, old, threads=1)
    assert caplog.text.count("against the CPU, as it has no stored values") == 1
    assert "head 'boxes' has a cosine" in caplog.text


def test_a_compiled_file_without_stored_values_is_named_once(old, caplog, monkeypatch):
    model = load_model(old)
    proof.tell(model, old, threads=1)
    assert not caplog.records  # on the CPU nothing else could run it

    def refuse(*_, **__):
        raise DelegateError("compiled for an Edge TPU")

    monkeypatch.setattr(proof, "load_model", refuse)
    model.ran = Ran("litert", "2", "edgetpu")
    proof.tell(model, old, threads=1)
    assert caplog.text.count("has no stored values, so nothing proves") == 1


def test_an_accelerator_is_invoked_once_even_without_stored_values():
    runs = []
    proof.check(stand(lambda head: runs.append(1) or head * np.nan), {})
    assert runs == [1]


def test_who_would_run_a_file_is_known_without_opening_anything():
    ran = backend.who_runs(model_file.read(default_model_path()), "cpu")

    assert str(ran) == f"litert {ran.version} on cpu"
