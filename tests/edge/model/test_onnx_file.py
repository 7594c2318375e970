"""ONNX files as untrusted bytes: read without `onnx`, and refused where they cannot be true."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tracemalloc
from pathlib import Path

import factories
import numpy as np
import onnx_bytes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_bytes import end, graph, message, model, node, number, tensor

from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model import model_file, onnx_file

pytestmark = pytest.mark.board

PATH = Path("my.onnx")
BARE = onnx_bytes.segmenter()
ENDS = {"inputs": [end("image", (1, 4))], "outputs": [end("out", (1, 4))]}
OTHER_FILE = message(13, message(1, "location"), message(2, "../../etc/passwd"))


def manifest(**changes):
    given = {
        "input": factories.input_transform(size_wh=(8, 8)),
        "outputs": {"classes": "classes"},
        "head": SegmentationHead(activation="softmax"),
    }
    return factories.manifest(**given | changes)


WHOLE = onnx_bytes.sealed(BARE, manifest(), factories.anchors())


def test_the_manifest_and_the_anchors_come_from_the_metadata():
    file = model_file.parse(PATH, WHOLE)

    assert file.flatbuffer == BARE
    assert file.format == "onnx"
    assert file.description.labels == factories.LABELS
    assert np.array_equal(file.description.anchors, factories.anchors())
    assert file.description.digest == "sha256:" + hashlib.sha256(BARE).hexdigest()


def test_the_ends_are_read_without_a_runtime_and_an_open_batch_is_one():
    weight = tensor("w", np.ones((2, 2)))
    bare = model(
        graph(
            [node("Relu", ["image"], "out")],
            [weight],
            inputs=[end("image", ("batch", 4, 4, 3), 10), end("w", (2, 2))],
            outputs=[end("out", (1, 7), 7)],
        )
    )

    (image,), (out,) = onnx_file.tensors(bare, PATH)

    assert (image.name, image.shape, image.dtype) == ("image", (1, 4, 4, 3), np.float16)
    assert (out.name, out.shape, out.dtype) == ("out", (1, 7), np.int64)
    assert onnx_file.ops(bare, PATH) == {"Relu"}


@pytest.mark.parametrize("at", range(0, len(WHOLE), 23))
def test_a_flipped_bit_is_refused(at):
    data = bytearray(WHOLE)
    data[at] ^= 0x10
    file = None
    with contextlib.suppress(ModelError):
        file = model_file.parse(PATH, bytes(data))
    # Of the text around the manifest a bit may turn; of the model and what describes it, none.
    assert file is None or file.flatbuffer == BARE


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_end_in_a_sentence(data):
    for hostile in (b"\x08" + data, BARE[:60] + data, WHOLE[: len(WHOLE) - len(data) // 3] + data):
        with contextlib.suppress(ModelError):
            assert model_file.parse(PATH, hostile).flatbuffer == BARE


def attribute_of(*fields):
    return graph([node("Constant", [], "out", message(1, "value") + b"".join(fields))], **ENDS)


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (graph([], [tensor("w", np.ones(2), OTHER_FILE)], **ENDS), "lie in other files"),
        (graph([], [tensor("w", np.ones(2), number(14, 1))], **ENDS), "lie in other files"),
        (attribute_of(message(5, tensor("w", np.ones(2), OTHER_FILE))), "lie in other files"),
        (
            attribute_of(message(6, graph([], [tensor("w", np.ones(2), OTHER_FILE)], **ENDS))),
            "lie in other files",
        ),
        (
            attribute_of(message(22, message(1, tensor("w", np.ones(2), OTHER_FILE)))),
            "lie in other files",
        ),
        (graph([node("EPContext", ["image"], "out")], **ENDS), "a compiled engine"),
        (graph([], [number(1, 2**40) + number(2, 1)], **ENDS), "shape"),
        (graph([], [number(1, 2**30) + number(2, 1)], **ENDS), "over 512 MiB"),
        (
            graph([], [number(1, 9) + number(2, 1) + message(9, b"12345678")], **ENDS),
            "needs 36 bytes, it has 8",
        ),
    ],
    ids=[
        "weights", "location", "constant", "inner graph", "sparse", "engine", "dim", "large",
        "short",
    ],
)  # fmt: skip
def test_what_cannot_be_true_or_leads_elsewhere_is_refused(hostile, words):
    with pytest.raises(ModelError, match=words):
        onnx_file.check(model(hostile), PATH)


def test_functions_and_training_are_looked_at_too():
    inner = node("C", [], "y", message(1, "v") + message(5, tensor("w", np.ones(1), OTHER_FILE)))
    with pytest.raises(ModelError, match="other files"):
        onnx_file.check(model(graph([], **ENDS), message(25, message(7, inner))), PATH)
    default = message(1, "v") + message(5, tensor("w", np.ones(1), OTHER_FILE))
    with pytest.raises(ModelError, match="other files"):
        onnx_file.check(model(graph([], **ENDS), message(25, message(11, default))), PATH)
    with pytest.raises(ModelError, match="for training"):
        onnx_file.check(model(graph([], **ENDS), message(20, b"")), PATH)


def test_graphs_that_lie_in_each_other_for_ever_are_refused():
    deep = graph([], **ENDS)
    for _ in range(20):
        deep = attribute_of(message(6, deep))
    with pytest.raises(ModelError, match="over 8 deep"):
        onnx_file.check(model(deep), PATH)


def test_a_file_without_manifest_says_what_to_do():
    with pytest.raises(ModelError, match=r"nothing in the file says .*--draft my\.toml"):
        model_file.parse(PATH, BARE)


def test_a_toml_describes_an_onnx_file_of_any_origin(tmp_path):
    written = tmp_path / "my.toml"
    written.write_text(
        '[model]\nname = "m"\nlabels = ["a", "b", "c"]\n[input]\nsize_wh = [8, 8]\ncolor = "rgb"\n'
        'mean = [0, 0, 0]\nstd = [255, 255, 255]\nresize = "stretch"\n'
        '[outputs]\nclasses = "classes"\n[head]\nkind = "segmentation"\nactivation = "softmax"\n'
    )

    file = model_file.parse(PATH, WHOLE, description=written)

    assert (file.read_by, file.description.name, file.flatbuffer) == ("toml", "m", BARE)


def test_a_shape_of_millions_of_sides_is_refused_before_it_is_read():
    weight = message(1, b"\x01" * 2_000_000) + number(2, 1)
    hostile = model(graph([], [weight], **ENDS))
    tracemalloc.start()
    with pytest.raises(ModelError, match="a tensor has the shape"):
        onnx_file.check(hostile, PATH)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10 * len(hostile) / 4


def test_a_tflite_needs_nothing_of_onnx_or_of_chips():
    program = (
        "import sys; from edge import app; app.read_model(None);"
        "print({'onnx_file', 'chip_files', 'protobuf'}"
        " & {name.rpartition('.')[2] for name in sys.modules})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout == b"set()\n"
