"""Each op written as ONNX computes what LiteRT does; rounding keeps to TensorRT's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from float_tflite_models import MODELS, FloatModel
from litert_runs import run

from calibration.ranges import Range
from converter.deliver.targets.onnx_ops import to_onnx
from converter.deliver.targets.onnx_writer import symmetric_scale
from edge.errors import ModelError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def onnx_of(graph, ranges=None, **options):
    return to_onnx(graph, ranges, path=Path("m.tflite"), **options)


def built(name):
    return MODELS[name](FloatModel())


def by_onnxruntime(proto, image):
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["output"], {"input": image})[0]


@pytest.fixture
def image():
    return np.random.default_rng(1).normal(size=(1, 9, 8, 4)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_an_op_computes_what_litert_computes(name, image):
    model = built(name)
    wanted = run(model.flatbuffer(), image)["output"]

    found = by_onnxruntime(onnx_of(model.named()), image)

    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("name", MODELS)
def test_an_op_in_float16_computes_nearly_that_between_float32_ends(name, image):
    model = built(name)
    wanted = run(model.flatbuffer(), image)["output"]
    proto = onnx_of(model.named(), half=True)

    found = by_onnxruntime(proto, image)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=4e-3 * max(1, np.abs(wanted).max()))
    assert not any(one.data_type == onnx.TensorProto.FLOAT for one in proto.graph.initializer)


def test_a_weight_beyond_float16_is_refused():
    model = FloatModel()
    model.then("MUL", (model.last, model.constant(np.float32([1e5]))), (1, 9, 8, 4))
    with pytest.raises(ModelError, match="too large for float16"):
        onnx_of(model.named(), half=True)


def ranges_of(graph, peak=4.0):
    return {name: Range(-peak / 2, peak) for name in graph.tensors}


def pairs(proto):
    """Return name of the rounded value to (scales, zero points)."""
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    return {
        node.input[0]: (constants[node.input[1]], constants[node.input[2]])
        for node in proto.graph.node
        if node.op_type == "QuantizeLinear"
    }


@pytest.mark.parametrize(
    "name", ["conv same", "depthwise", "transpose conv same", "fully connected"]
)
def test_convolutions_read_symmetric_int8_with_weights_per_channel_and_float_biases(name):
    graph = built(name).named()
    proto = onnx_of(graph, ranges_of(graph))
    makers = {output: node for node in proto.graph.node for output in node.output}
    (node,) = (
        node for node in proto.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm")
    )

    found = pairs(proto)

    assert len(found) == 2
    assert all(zero.dtype == np.int8 and not zero.any() for _, zero in found.values())
    sizes = sorted(scale.size for scale, _ in found.values())
    assert sizes == [1, graph.shape("output")[-1]]
    assert makers[node.input[1]].op_type == "DequantizeLinear"
    if len(node.input) > 2:
        assert node.input[2] not in makers


def test_the_skipped_side_of_a_residual_sum_is_rounded_and_the_convolution_is_not():
    graph = built("residual").named()
    proto = onnx_of(graph, ranges_of(graph))
    makers = {output: node.op_type for node in proto.graph.node for output in node.output}
    (add,) = (node for node in proto.graph.node if node.op_type == "Add")

    assert sorted(makers[name] for name in add.input) == ["Conv", "DequantizeLinear"]


@pytest.mark.parametrize("name", ["max pool", "concat depth", "bilinear", "relu", "reshape"])
def test_other_ops_are_not_rounded(name):
    graph = built(name).named()

    assert not pairs(onnx_of(graph, ranges_of(graph)))


def test_the_scale_holds_the_farther_end_of_the_range():
    assert symmetric_scale(Range(-6.35, 1.0)) == pytest.approx(6.35 / 127)
    assert symmetric_scale(Range(0.0, 1.0)) == pytest.approx(1 / 127)
    assert symmetric_scale(Range(0.0, 0.0)) == 1.0


def test_an_op_without_onnx_form_is_named():
    model = FloatModel()
    model.then("CUMSUM", (model.last, model.whole(1)), (1, 9, 8, 4))

    with pytest.raises(ModelError, match="op CUMSUM has no ONNX form"):
        onnx_of(model.named())
