"""ONNX operations: each gives what onnxruntime gives, whatever mode and opset it is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference.onnx_cases import (
    CASES,
    NORMALISED,
    NORMALISED_BACK,
    PAIR,
    chain,
    integers,
    numbers,
    one,
    written,
)

from converter.graph.writing import write
from converter.importers.onnx import file as onnx_file
from converter.importers.onnx.importer import refuse_unread, translate
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.converter

SOMEWHERE = Path("model.onnx")
TOLERANCE = 1e-5  # of the range


def both(proto):
    """Return what the import and onnxruntime give for every output, and the import's ops."""
    model = onnx_file.read(proto.SerializeToString(), SOMEWHERE)
    graph, orders = translate(model)
    refuse_unread(graph, SOMEWHERE)
    runtime = open_interpreter(write(graph), SOMEWHERE, threads=1)
    image = np.random.default_rng(5).normal(size=model.shape).astype(np.float32)
    entry = runtime.get_input_details()[0]["index"]
    runtime.set_tensor(entry, image.transpose(model.input_order))
    runtime.invoke()
    tensors = {
        row["name"]: runtime.get_tensor(row["index"]) for row in runtime.get_output_details()
    }
    found = [tensors[name].transpose(np.argsort(orders[name])) for name in model.outputs]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.proto.SerializeToString(), options)
    return found, session.run(list(model.outputs), {model.input: image}), graph.ops


def assert_same(proto):
    found, expected, ops = both(proto)
    for mine, original in zip(found, expected, strict=True):
        assert mine.shape == original.shape
        span = np.ptp(original) or 1
        assert np.abs(mine - original).max() <= TOLERANCE * span
    return [op.kind for op in ops]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_operation_gives_what_onnxruntime_gives(case):
    assert_same(written(case))


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        pytest.param(NORMALISED, ["CONV_2D"], id="normalised"),
        pytest.param(NORMALISED_BACK, ["TRANSPOSE_CONV"], id="normalised back"),
        pytest.param(
            CASES["channels shuffled"], ["RESHAPE", "TRANSPOSE", "RESHAPE", "RELU"], id="shuffled"
        ),
        pytest.param(CASES["channels last"], ["RELU"], id="channels last"),
        pytest.param(CASES["nearest, half pixel"], ["RESIZE_NEAREST_NEIGHBOR"], id="resized"),
        pytest.param(CASES["transposed by 4 in 2"], ["TRANSPOSE_CONV"], id="doubled"),
        pytest.param(CASES["mean over all"], ["MEAN"], id="mean"),
    ],
)
def test_what_tflite_computes_at_once_is_one_op(case, kinds):
    assert assert_same(written(case)) == kinds


def test_weights_listed_as_inputs_are_weights():
    proto = written(NORMALISED, as_inputs=True)

    assert assert_same(proto) == ["CONV_2D"]


@pytest.mark.parametrize("batch", ["N", "batch_size", -1, 0])
def test_an_open_batch_is_one(batch):
    proto = written(CASES["size computed by the opset of old"])
    side = proto.graph.input[0].type.tensor_type.shape.dim[0]
    if isinstance(batch, str):
        side.dim_param = batch
    else:
        side.dim_value = batch

    assert_same(proto)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (one("Conv", numbers(6, 2, 3, 3), **PAIR), "filters for 4 channels in 1 groups"),
        (one("LRN", size=3), "found LRN"),
        (one("TopK", outputs=2), "found TopK"),
        (one("Resize", None, np.array([1, 1, 2, 2], np.float32), mode="cubic"), "found cubic"),
    ],
    ids=["channels", "operation", "operation without its inputs", "mode"],
)
def test_what_is_not_read_is_named_with_the_way_out(case, words):
    model = onnx_file.read(written(case).SerializeToString(), SOMEWHERE)

    with pytest.raises(ModelError, match=rf"{words}.*onnx2tf -i MODEL\.onnx"):
        refuse_unread(translate(model)[0], SOMEWHERE)


def test_a_small_file_that_asks_for_gigabytes_is_not_computed():
    many = integers(1 << 20, 1 << 20)
    case = chain(("ConstantOfShape", "s", "a", {}), ("ReduceSum", "a", "b", {}),
                 ("Add", "image b", "o", {}), constants={"s": many})  # fmt: skip
    model = onnx_file.read(written(case).SerializeToString(), SOMEWHERE)

    with pytest.raises(ModelError, match="found ConstantOfShape"):
        refuse_unread(translate(model)[0], SOMEWHERE)
