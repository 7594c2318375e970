"""The seam to LiteRT: the shipped model runs, and what cannot run is refused in one sentence."""

from __future__ import annotations

import sys
import threading
import types
from pathlib import Path

import factories
import numpy as np
import pytest

from edge.errors import DependencyError, ModelError
from edge.model import model_file
from edge.model.backends import litert as seam
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def file():
    return model_file.read(default_model_path())


@pytest.fixture
def loaded(file):
    return load_model(file, threads=1)


def filled(loaded, seed):
    shape = loaded.spec.input.shape
    return np.random.default_rng(seed).integers(-128, 128, shape, np.int8)


def heads_of(loaded, input_tensor):
    heads = loaded.output_buffers()
    buffer = InputBuffer(loaded.spec)
    buffer.tensor[:] = input_tensor
    loaded.invoke(buffer, out=heads)
    return heads


def test_the_buffers_have_the_shapes_and_types_of_the_specification(loaded):
    spec = loaded.spec

    for role, buffer in loaded.output_buffers().items():
        assert buffer.shape == spec.outputs[role].shape
        assert buffer.dtype == spec.outputs[role].dtype == np.int8


def test_the_same_input_gives_the_same_heads(loaded):
    first = heads_of(loaded, filled(loaded, 1))
    other = heads_of(loaded, filled(loaded, 2))
    again = heads_of(loaded, filled(loaded, 1))

    for role, head in first.items():
        np.testing.assert_array_equal(head, again[role])
        assert (head != other[role]).any()


def test_heads_that_were_handed_out_are_not_touched_by_the_next_invoke(loaded):
    heads = heads_of(loaded, filled(loaded, 1))
    kept = {role: head.copy() for role, head in heads.items()}

    heads_of(loaded, filled(loaded, 2))

    for role, head in heads.items():
        np.testing.assert_array_equal(head, kept[role])


def test_two_threads_of_the_runtime_give_the_heads_of_one(file, loaded):
    two = load_model(file, threads=2)

    for role, head in heads_of(loaded, filled(loaded, 1)).items():
        np.testing.assert_array_equal(heads_of(two, filled(loaded, 1))[role], head)


def test_another_thread_of_the_program_runs_while_the_model_is_invoked(loaded):
    """Were the GIL held, a thread that sleeps 0.1 ms at a time would wake once an invoke."""
    wakes, invokes = 0, 50
    stop = threading.Event()

    def count_wakes() -> None:
        nonlocal wakes
        while not stop.wait(1e-4):
            wakes += 1

    def most_of(windows: int) -> int:
        found = []
        for _ in range(windows):
            before = wakes
            for _ in range(invokes):
                loaded.invoke_bare()
            found.append(wakes - before)
            if found[-1] > 3 * invokes:
                break
        return max(found)

    thread = threading.Thread(target=count_wakes, name="test-wakes")
    thread.start()
    # What else runs on the cores wakes nobody more often: the best window counts.
    most = most_of(10)
    stop.set()
    thread.join()

    assert most > 3 * invokes


def test_the_quantisation_of_the_input_is_read_from_the_file(loaded):
    assert 0 < loaded.spec.input.quant.scale < 1
    assert -128 <= loaded.spec.input.quant.zero_point <= 127


def test_a_tensor_without_quantisation_has_the_identity():
    detail = {
        "name": "x",
        "index": 2,
        "shape": np.array([1, 2], np.int32),
        "dtype": np.float32,
        "quantization": (0.0, 0),
    }

    spec = seam.tensor_spec(detail)

    assert spec.shape == (1, 2)
    assert (spec.quant.scale, spec.quant.zero_point) == (1.0, 0)


@pytest.mark.parametrize(
    "flatbuffer",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"nonsense" * 10, id="foreign"),
    ],
)
def test_bytes_that_are_no_model_are_refused_in_one_sentence(flatbuffer):
    with pytest.raises(ModelError, match=r"m\.tflite: .* cannot load this model: .*convert"):
        seam.open_interpreter(flatbuffer, Path("m.tflite"), threads=1)


def test_a_manifest_of_another_model_is_refused_at_load(file):
    labels = (*file.description.labels, "one more")
    foreign = factories.model_file(
        path=file.path,
        flatbuffer=file.flatbuffer,
        manifest=file.manifest.replace(labels=labels),
        anchors=file.description.anchors,
    )

    with pytest.raises(ModelError, match=f"has {len(labels)} labels"):
        load_model(foreign)


def test_a_model_that_fails_while_it_runs_is_told_in_one_sentence(file, monkeypatch):
    def fail():
        raise RuntimeError("gather index out of bounds\nNode number 3 (GATHER) failed to invoke.")

    backend = seam.LiteRt(file)
    monkeypatch.setattr(backend, "_runtime", types.SimpleNamespace(invoke=fail))

    with pytest.raises(ModelError, match=r"failed while it ran this model: gather .* bounds; conv"):
        backend.invoke_bare()


def test_the_runtime_names_itself():
    assert seam.runtime_name() in {"ai_edge_litert", "tflite_runtime"}


def hide(monkeypatch, *packages):
    """Make imports of these packages fail as they do where nobody installed them."""
    for package in packages:
        for name in [known for known in sys.modules if known.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)

    class Hidden:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in packages:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch):
    hide(monkeypatch, "ai_edge_litert", "tflite_runtime")

    with pytest.raises(DependencyError, match="type: pip install ai-edge-litert"):
        seam.runtime_module()


def test_tflite_runtime_beside_numpy_2_is_refused_before_it_fails_on_its_own(monkeypatch):
    hide(monkeypatch, "ai_edge_litert")
    for name in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setattr(np, "__version__", "2.2.6")

    with pytest.raises(DependencyError, match=r"tflite-runtime needs numpy < 2, found 2\.2\.6"):
        seam.runtime_module()
