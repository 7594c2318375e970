"""Each recipe's effect on a small net, read from the FlatBuffer, by either quantiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from converter import flatbuffer as fb
from converter.inspect_graph import read_tables
from converter.quantize.quantize import quantize
from converter.quantize.recipe import Selection, load_recipe, with_kept, with_kept_ops
from edge.errors import ConfigError, ModelError
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter
PATH = Path("tiny.tflite")
# What no neighbour shares a scale with, in both quantisers. TensorFlow's hands that of `joined`
# back through `near` to `deep`, and makes `stem` and a RELU behind it one.
OWN_SCALE = ("image", "boxes", "logits")


@pytest.fixture(scope="session")
def nets():
    """Return activation to the float net and its ranges."""
    built = {kind: tiny_net.build(kind) for kind in ("RELU", "LEAKY_RELU")}
    return {kind: (net, tiny_net.ranges(net)) for kind, net in built.items()}


@pytest.fixture(scope="session")
def made(nets):
    """Return a function that quantises one of the nets by a shipped recipe, once each."""
    done = {}

    def make(kind, name):
        if (kind, name) not in done:
            done[kind, name] = make_with(nets, kind, load_recipe(name))
        return done[kind, name]

    return make


def make_with(nets, kind, recipe):
    net, ranges = nets[kind]
    return quantize(net, ranges if recipe.needs_ranges else {}, recipe, path=PATH)


def graph_of(quantized):
    tables = read_tables(quantized.flatbuffer, PATH)
    tensors = {
        tensor.name.decode(): tensor
        for tensor in fb.unpack(quantized.flatbuffer).subgraphs[0].tensors
    }
    return tables, tensors


def ends_of(quantized):
    tables = read_tables(quantized.flatbuffer, PATH)
    ends = [tables.tensors[index] for index in (*tables.inputs, *tables.outputs)]
    return [(tensor.name, tensor.dtype) for tensor in ends]


def float_kinds(quantized):
    return {op.kind for op in read_tables(quantized.flatbuffer, PATH).float_ops()}


def invoke(flatbuffer):
    """Return the outputs, as real values, by name, for the first of the net's images."""
    runtime = open_interpreter(flatbuffer, PATH, threads=1)
    (source,) = runtime.get_input_details()
    scale, zero = source["quantization"]
    real = tiny_net.images()[0][None, ..., ::-1].astype(np.float32) / 255
    if scale:
        real = np.round(real / scale + zero).astype(source["dtype"])
    runtime.set_tensor(source["index"], real)
    runtime.invoke()
    found = {}
    for detail in runtime.get_output_details():
        scale, zero = detail["quantization"]
        values = runtime.get_tensor(detail["index"]).astype(np.float32)
        found[detail["name"]] = (values - zero) * scale if scale else values
    return found


INT8 = pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("RELU", "int8"),
        ("RELU", "int8_tflite_converter"),
        ("LEAKY_RELU", "int8_tflite_converter"),
    ],
    ids=["litert-quantizer", "TensorFlow", "TensorFlow leaky"],
)


@INT8
def test_int8_leaves_no_float_and_takes_our_ranges(kind, name, made, nets):
    quantized = made(kind, name)
    tables, tensors = graph_of(quantized)

    assert not tables.float_ops()
    assert quantized.islands == {}
    assert ends_of(quantized) == [("image", "INT8"), ("boxes", "INT8"), ("scores", "INT8")]
    for tensor in OWN_SCALE:
        found = nets[kind][1][tensor].with_zero()
        (scale,) = tensors[tensor].quantization.scale
        assert scale == pytest.approx((found.max - found.min) / 255, rel=1e-6), tensor
    # The image of a pixel value is that value less 128: the board's table is a bare XOR.
    assert tensors["image"].quantization.scale[0] == np.float32(1 / 255)
    assert tensors["image"].quantization.zeroPoint[0] == -128


@INT8
def test_int8_weights_have_a_symmetric_scale_for_each_channel(kind, name, made, nets):
    graph = fb.unpack(made(kind, name).flatbuffer).subgraphs[0]
    (boxes,) = [op for op in graph.operators if graph.tensors[op.outputs[0]].name == b"boxes"]
    quantization = graph.tensors[boxes.inputs[1]].quantization
    net = fb.unpack(nets[kind][0])
    tensor = next(t for t in net.subgraphs[0].tensors if t.name == b"boxes/weights")
    weights = np.frombuffer(bytes(net.buffers[tensor.buffer].data), np.float32)

    expected = np.abs(weights.reshape(tensor.shape)).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(quantization.scale, expected, rtol=1e-6)
    assert not np.any(quantization.zeroPoint)


def test_the_same_model_and_ranges_give_the_same_bytes(made, nets):
    again = make_with(nets, "RELU", load_recipe("int8"))

    assert again.flatbuffer == made("RELU", "int8").flatbuffer


@pytest.mark.parametrize("name", ["int8", "int8_tflite_converter", "float16", "dynamic", "int16x8"])
def test_every_recipe_computes_what_the_float_net_does(name, made, nets):
    net, _ = nets["RELU"]
    expected, found = invoke(net), invoke(made("RELU", name).flatbuffer)

    for role, values in expected.items():
        assert np.abs(values - found[role]).max() < 0.05 * np.ptp(values), role


def test_auto_takes_litert_quantizer_where_it_leaves_nothing_float(made):
    quantized = made("RELU", "int8")

    assert quantized.quantizer == "litert"
    assert "by litert-quantizer (it leaves no op float)" in quantized.describe(load_recipe("int8"))


def test_auto_takes_the_quantiser_of_tensorflow_for_a_leaky_net_and_says_why(made):
    quantized = made("LEAKY_RELU", "int8")

    assert quantized.quantizer == "tflite_converter"
    assert quantized.reason == "litert-quantizer leaves float LEAKY_RELU x1"
    assert not float_kinds(quantized)
    # As the recipe that names it, in a process of its own: the same bytes.
    assert quantized.flatbuffer == made("LEAKY_RELU", "int8_tflite_converter").flatbuffer


def test_a_quantiser_that_was_named_leaves_nothing_float_unsaid(nets):
    recipe = load_recipe("int8").replace(quantizer="litert")

    with pytest.raises(ModelError, match=r"LEAKY_RELU x1; type: --recipe int8_tflite_converter"):
        make_with(nets, "LEAKY_RELU", recipe)


def test_the_quantiser_of_tensorflow_writes_the_versions_that_other_readers_know(made):
    versions = {op.kind: op.version for op in graph_of(made("LEAKY_RELU", "int8"))[0].ops}

    assert versions["CONV_2D"] == 3
    assert versions["DEPTHWISE_CONV_2D"] == 3
    assert versions["TRANSPOSE_CONV"] == 2


@pytest.mark.parametrize(
    ("kind", "kept", "islands"),
    [
        ("RELU", ["deep"], {"DEPTHWISE_CONV_2D": 1}),
        ("RELU", ["stem", "boxes", "scores"], {"CONV_2D": 2, "LOGISTIC": 1}),
        ("LEAKY_RELU", ["deep"], {"DEPTHWISE_CONV_2D": 1}),
        ("LEAKY_RELU", ["stem", "boxes", "scores"], {"CONV_2D": 2, "LOGISTIC": 1}),
    ],
    ids=["litert inside", "litert at the ends", "TensorFlow inside", "TensorFlow at the ends"],
)
def test_kept_layers_are_float_islands_and_nothing_else_is(kind, kept, islands, nets):
    quantized = make_with(nets, kind, with_kept(load_recipe("int8"), kept))

    assert quantized.islands == {"float32": islands}
    assert float_kinds(quantized) == {*islands, "QUANTIZE", "DEQUANTIZE"}
    assert ends_of(quantized) == [("image", "INT8"), ("boxes", "INT8"), ("scores", "INT8")]
    expected, found = invoke(nets[kind][0]), invoke(quantized.flatbuffer)
    for role, values in expected.items():
        assert np.abs(values - found[role]).max() < 0.05 * np.ptp(values), role


def test_kept_layers_may_be_int16_islands(nets):
    recipe = with_kept(load_recipe("int8"), ["deep", "boxes"], precision="int16")
    quantized = make_with(nets, "RELU", recipe)

    assert quantized.islands == {"int16": {"DEPTHWISE_CONV_2D": 1, "CONV_2D": 1}}
    assert ends_of(quantized) == [("image", "INT8"), ("boxes", "INT8"), ("scores", "INT8")]
    assert "int16 inside: DEPTHWISE_CONV_2D x1, CONV_2D x1" in quantized.describe(recipe)


def test_int16_layers_are_refused_where_the_quantiser_has_none(nets):
    with pytest.raises(ModelError, match="no int16 layers; keep the layers float"):
        make_with(nets, "LEAKY_RELU", with_kept(load_recipe("int8"), ["deep"], precision="int16"))
    recipe = with_kept(load_recipe("int8_tflite_converter"), ["deep"], precision="int16")
    with pytest.raises(ConfigError, match="no int16 layers"):
        make_with(nets, "RELU", recipe)


@pytest.mark.parametrize(
    "selection",
    [Selection(names=("deep", "nowhere")), Selection(kinds=("nowhere",)), Selection(ops=(99,))],
    ids=["name", "kind", "number"],
)
def test_a_rule_that_fits_no_layer_is_refused(selection, nets):
    with pytest.raises(ConfigError, match=r"expected an op to keep for '(nowhere|99)', found none"):
        make_with(nets, "RELU", with_kept_ops(load_recipe("int8"), selection))


def test_float16_stores_half_the_bytes_and_computes_in_float(made):
    quantized = made("LEAKY_RELU", "float16")
    tables, _ = graph_of(quantized)

    assert ends_of(quantized) == [("image", "FLOAT32"), ("boxes", "FLOAT32"), ("scores", "FLOAT32")]
    rows = {row.name: row for row in tables.tensors}
    for layer in ("stem", "deep", "wide", "boxes", "logits"):
        assert rows[f"{layer}/weights"].dtype == "FLOAT16"
    assert "LEAKY_RELU" in tables.op_counts()
    assert not [row for row in tables.tensors if row.dtype == "INT8"]


def test_dynamic_has_int8_weights_per_channel_between_float_activations(made):
    quantized = made("LEAKY_RELU", "dynamic")
    tables, _ = graph_of(quantized)

    assert ends_of(quantized) == [("image", "FLOAT32"), ("boxes", "FLOAT32"), ("scores", "FLOAT32")]
    rows = {row.name: row for row in tables.tensors}
    for layer in ("stem", "deep", "boxes", "logits"):
        assert rows[f"{layer}/weights"].dtype == "INT8"
        assert rows[f"{layer}/weights"].scales == rows[layer].shape[-1]


def test_int16x8_has_symmetric_int16_activations_and_says_what_it_is_for(made):
    quantized = made("RELU", "int16x8")
    tables, tensors = graph_of(quantized)

    assert ends_of(quantized) == [("image", "INT16"), ("boxes", "INT16"), ("scores", "INT16")]
    assert not tables.float_ops()
    assert tensors["image"].quantization.scale[0] == pytest.approx(1 / 32767)
    assert "analysis only: 50-100x slower" in quantized.describe(load_recipe("int16x8"))


def test_int16x8_gives_equal_biases_a_scale_of_their_own(nets):
    # TensorFlow's own int16x8 shares one quantised bias among them, and is off by most of a logit.
    model = fb.unpack(nets["RELU"][0])
    for tensor in model.subgraphs[0].tensors:
        if tensor.name in (b"boxes/bias", b"logits/bias"):
            values = np.full(tensor.shape, -4, np.float32)
            model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    net = fb.pack(model)

    quantized = quantize(net, tiny_net.ranges(net), load_recipe("int16x8"), path=PATH)

    expected, found = invoke(net), invoke(quantized.flatbuffer)
    assert np.abs(expected["boxes"] - found["boxes"]).max() < 0.05


def test_a_model_without_all_its_ranges_is_refused(nets):
    net, ranges = nets["RELU"]
    short = {name: found for name, found in ranges.items() if name != "deep"}

    with pytest.raises(ModelError, match="found none for 'deep'"):
        quantize(net, short, load_recipe("int8"), path=PATH)


def test_the_float_net_has_the_tensors_that_the_tests_name(nets):
    image = tiny_net.images()[0]

    taps = {name for name, _ in TappedModel(nets["RELU"][0], tiny_net.TRANSFORM).run(image)}

    assert taps >= {"stem", "active", "deep", "near", "wide", "joined", "boxes", "logits", "scores"}
