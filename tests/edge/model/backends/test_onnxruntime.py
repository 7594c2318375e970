"""onnxruntime as a backend: on its real CPU provider, and strict about every other one."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx_bytes
import pytest
import stand_in_provider
from onnx_bytes import end, graph, model, node

from edge import cli
from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import model_file, trial
from edge.model.backends import onnxruntime as seam
from edge.model.loaded import load_model

pytestmark = pytest.mark.board

SIDE = 8


def file_of(bare, side=SIDE):
    return model_file.parse(Path("my.onnx"), onnx_bytes.described(bare, side))


@pytest.fixture(scope="module")
def runtime():
    return pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.fixture
def provider(runtime, monkeypatch):
    return stand_in_provider.install(runtime, monkeypatch)


def test_a_model_computes_what_its_graph_says(runtime):
    loaded = load_model(file_of(onnx_bytes.segmenter(SIDE)))
    buffer, heads = loaded.input_buffers()[0], loaded.output_buffers()
    random = np.random.default_rng(0)
    kernel = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)

    for _ in range(2):  # the second one must not read the first one's input
        buffer.fill(random.integers(0, 256, (20, 20, 3), np.uint8))
        loaded.invoke(buffer, out=heads)

        np.testing.assert_allclose(heads["classes"], buffer.tensor @ kernel.T, atol=1e-5)


def test_channels_first_give_the_same(runtime):
    last, first = (
        load_model(file_of(onnx_bytes.segmenter(SIDE, channels_first=order)))
        for order in (False, True)
    )
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    heads = []
    for loaded in (last, first):
        buffer, head = loaded.input_buffers()[0], loaded.output_buffers()
        buffer.fill(image)
        loaded.invoke(buffer, out=head)
        heads.append(head["classes"])

    assert first.spec.input.shape == (1, 3, SIDE, SIDE)
    np.testing.assert_allclose(heads[0], heads[1], atol=1e-6)


def test_a_frame_allocates_nothing_that_grows_with_the_image(runtime):
    import tracemalloc  # noqa: PLC0415

    loaded = load_model(file_of(onnx_bytes.segmenter(256), 256))
    buffer, heads = loaded.input_buffers()[0], loaded.output_buffers()
    loaded.invoke(buffer, out=heads)
    tracemalloc.start()
    try:
        for _ in range(3):
            loaded.invoke(buffer, out=heads)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000  # an input takes 786,432


def test_a_model_is_first_run_in_a_child(runtime, tmp_path):
    trial.admit(file_of(onnx_bytes.segmenter(SIDE)), state_folder=tmp_path)

    assert "onnxruntime" in (tmp_path / trial.REMEMBERED).read_text()


def of_op(op):
    ends = {
        "inputs": [end("image", (1, SIDE, SIDE, 3))],
        "outputs": [end("classes", (1, SIDE, SIDE, 3))],
    }
    return file_of(model(graph([node(op, ["image"], "classes")], **ends)))


def test_what_the_runtime_refuses_in_the_child_is_a_sentence(runtime):
    for refuse in (lambda file: trial.admit(file, state_folder=None), load_model):
        with pytest.raises(ModelError, match=r"onnxruntime .*cannot load") as caught:
            refuse(of_op("NoSuchOp"))
        assert "\n" not in str(caught.value)


def test_an_output_of_another_shape_than_the_declared_one_is_refused(runtime):
    loaded = load_model(of_op("Squeeze"))
    with pytest.raises(ModelError, match=r"expected each output in the shape that it was declared"):
        loaded.invoke(loaded.input_buffers()[0], out=loaded.output_buffers())


@pytest.mark.usefixtures("without")
def test_without_the_package_one_sentence_says_what_to_type(tmp_path, capsys):
    path = tmp_path / "my.onnx"
    path.write_bytes(onnx_bytes.described(onnx_bytes.segmenter(SIDE), SIDE))

    with pytest.raises(DependencyError, match="pip install 'edge-vision"):
        load_model(model_file.read(path))
    assert cli.main(["inspect", str(path)]) == 1
    said = capsys.readouterr().err
    assert "pip install" in said
    assert "damaged" not in said
    with pytest.raises(DependencyError, match="pip install"):
        trial.try_once(model_file.read(path), limits=trial.Limits(memory_bytes=2**30))


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_a_provider_that_was_not_built_in_is_named(runtime, name):
    if runtime.get_available_providers()[0].startswith(("CUDA", "Tensorrt")):
        pytest.skip("this onnxruntime was built for a GPU")
    with pytest.raises(DelegateError, match=rf'"{name}" needs .*ExecutionProvider, this onnxrunt'):
        load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate=name)


def test_an_accelerator_is_asked_for_alone_and_with_all_guards(provider):
    loaded = load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate="cuda:1")

    assert provider["name"] == "CUDAExecutionProvider"
    assert provider["settings"]["device_id"] == "1"
    assert (provider["retry"], provider["strict"]) == (0, "1")
    assert loaded.ran.device == f"{stand_in_provider.GPU} 1"


def test_another_provider_than_the_one_asked_for_ends_the_run(provider):
    provider["answers"] = "CPUExecutionProvider"
    with pytest.raises(DelegateError, match="onnxruntime took CPUExecutionProvider for it"):
        load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate="cuda")


def test_the_real_guards_hold_where_no_accelerator_takes_the_nodes(runtime, monkeypatch):
    """Of the real session, without a stand-in: what is left to the CPU is refused at load."""
    has = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this onnxruntime was built for a GPU")
    monkeypatch.setattr(runtime, "get_available_providers", lambda: has)
    with (
        pytest.warns(UserWarning, match="not in available"),
        pytest.raises(DelegateError, match="does not run all ops of this model"),
    ):
        load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate="cuda")


def test_a_side_of_an_output_that_is_open_is_known_once_it_was_run(runtime):
    ends = {
        "inputs": [end("image", ("batch", SIDE, SIDE, 3))],
        "outputs": [end("classes", ("batch", "rows", "columns", 3))],
    }
    loaded = load_model(file_of(model(graph([node("Relu", ["image"], "classes")], **ends))))

    assert loaded.spec.outputs["classes"].shape == (1, SIDE, SIDE, 3)
    heads = loaded.output_buffers()
    loaded.invoke(loaded.input_buffers()[0], out=heads)
    assert not heads["classes"].any()


def test_a_device_that_is_lost_ends_the_run(provider):
    loaded = load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate="cuda")

    def lost(_):
        raise seam.runtime_module().capi.onnxruntime_pybind11_state.Fail("CUDA failure 700")

    loaded._backend._session = SimpleNamespace(run_with_iobinding=lost)
    with pytest.raises(DelegateError, match='"cuda" failed while it ran: CUDA failure 700'):
        loaded.invoke(loaded.input_buffers()[0], out=loaded.output_buffers())


def test_delegates_of_the_other_format_are_named():
    with pytest.raises(DelegateError, match=r"runs \.tflite files, found a \.onnx; .*cpu or cuda"):
        load_model(file_of(onnx_bytes.segmenter(SIDE)), delegate="edgetpu")


def test_an_output_without_a_shape_has_the_one_that_running_tells(runtime):
    bare = onnx_bytes.segmenter(SIDE)
    told = onnx_bytes.message(12, end("classes", (1, SIDE, SIDE, 3)))
    untold = onnx_bytes.message(
        12,
        onnx_bytes.message(1, "classes")
        + onnx_bytes.message(2, onnx_bytes.message(1, onnx_bytes.number(1, onnx_bytes.FLOAT))),
    )
    image = onnx_bytes.message(11, end("image", (1, SIDE, SIDE, 3)))
    inner = bare[bare.index(onnx_bytes.message(2, "g")) : bare.index(told) + len(told)]
    whole = model(inner.replace(told, untold))
    assert image in whole

    loaded = load_model(file_of(whole))

    assert loaded.spec.outputs["classes"].shape == (1, SIDE, SIDE, 3)
    assert loaded(np.zeros((SIDE, SIDE, 3), np.uint8)).class_ids.shape == (SIDE, SIDE)


def test_an_output_that_changes_its_shape_ends_with_what_to_do(runtime):
    flatten = node("Flatten", ["at"], "classes", onnx_bytes.integer("axis", 0))
    bare = model(
        graph(
            [node("NonZero", ["image"], "at"), flatten],
            inputs=[end("image", (1, SIDE, SIDE, 3))],
            outputs=[end("classes", (1, "found"), 7)],
        )
    )
    loaded = seam.OnnxRuntime(file_of(bare))
    loaded.allocate()
    assert loaded.tensors()[1][0].shape == (1, 0)
    spec = SimpleNamespace(outputs={"classes": loaded.tensors()[1][0]})
    with pytest.raises(
        ModelError, match=r"the shape that it .* first had.*; export it with a fixed number of rows"
    ):
        loaded.invoke(np.ones((1, SIDE, SIDE, 3), np.float32), spec, out={})


def test_open_sides_of_an_image_are_those_that_the_description_says(runtime):
    conv = node("Conv", ["image", "w"], "y")
    last = node("Transpose", ["y"], "classes", onnx_bytes.integers("perm", 0, 2, 3, 1))
    bare = model(
        graph(
            [conv, last],
            [onnx_bytes.tensor("w", np.ones((3, 3, 5, 5)))],  # of an image of one pixel, nothing
            inputs=[end("image", ("batch", 3, "height", "width"))],
            outputs=[end("classes", ("batch", "rows", "columns", 3))],
        )
    )
    file = file_of(bare)

    trial.try_once(file, limits=trial.default_limits(bare))
    loaded = load_model(file)

    assert loaded.spec.input.shape == (1, 3, SIDE, SIDE)
    assert loaded.spec.outputs["classes"].shape == (1, SIDE - 4, SIDE - 4, 3)
    loaded(np.zeros((SIDE, SIDE, 3), np.uint8))
