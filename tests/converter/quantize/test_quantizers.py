"""Each recipe's effect on a small net, read from the FlatBuffer, by either quantiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from calibration.ranges import Range
from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
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
    return quantize(read(net, PATH), ranges if recipe.needs_ranges else {}, recipe, path=PATH)


def graph_of(quantized):
    return read(quantized.flatbuffer, PATH)


def ends_of(quantized):
    graph = graph_of(quantized)
    return [(name, graph.tensors[name].dtype) for name in (*graph.inputs, *graph.outputs)]


def float_kinds(quantized):
    return {op.kind for op in graph_of(quantized).float_ops()}


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
    graph = graph_of(quantized)

    assert not graph.float_ops()
    assert quantized.islands == {}
    assert ends_of(quantized) == [("image", "int8"), ("boxes", "int8"), ("scores", "int8")]
    for tensor in OWN_SCALE:
        found = nets[kind][1][tensor].with_zero()
        (scale,) = graph.tensors[tensor].quantisation.scales
        assert scale == pytest.approx((found.max - found.min) / 255, rel=1e-6), tensor
    # The image of a pixel value is that value less 128: the board's table is a bare XOR.
    assert graph.tensors["image"].quantisation.scales[0] == np.float32(1 / 255)
    assert graph.tensors["image"].quantisation.zero_points[0] == -128


@INT8
def test_int8_weights_have_a_symmetric_scale_for_each_channel(kind, name, made, nets):
    graph = graph_of(made(kind, name))
    found = graph.tensors[graph.producers["boxes"].inputs[1]].quantisation
    weights = read(nets[kind][0], PATH).value("boxes/weights")

    expected = np.abs(weights).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(found.scales, expected, rtol=1e-6)
    assert not np.any(found.zero_points)


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
    versions = {op.kind: op.version for op in graph_of(made("LEAKY_RELU", "int8")).ops}

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
    assert ends_of(quantized) == [("image", "int8"), ("boxes", "int8"), ("scores", "int8")]
    expected, found = invoke(nets[kind][0]), invoke(quantized.flatbuffer)
    for role, values in expected.items():
        assert np.abs(values - found[role]).max() < 0.05 * np.ptp(values), role


def test_kept_layers_may_be_int16_islands(nets):
    recipe = with_kept(load_recipe("int8"), ["deep", "boxes"], precision="int16")
    quantized = make_with(nets, "RELU", recipe)

    assert quantized.islands == {"int16": {"DEPTHWISE_CONV_2D": 1, "CONV_2D": 1}}
    assert ends_of(quantized) == [("image", "int8"), ("boxes", "int8"), ("scores", "int8")]
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
    graph = graph_of(quantized)

    assert ends_of(quantized) == [("image", "float32"), ("boxes", "float32"), ("scores", "float32")]
    for layer in ("stem", "deep", "wide", "boxes", "logits"):
        assert graph.tensors[f"{layer}/weights"].dtype == "float16"
    assert "LEAKY_RELU" in [op.kind for op in graph.ops]
    assert not [tensor for tensor in graph.tensors.values() if tensor.dtype == "int8"]


def test_dynamic_has_int8_weights_per_channel_between_float_activations(made):
    quantized = made("LEAKY_RELU", "dynamic")
    graph = graph_of(quantized)

    assert ends_of(quantized) == [("image", "float32"), ("boxes", "float32"), ("scores", "float32")]
    for layer in ("stem", "deep", "boxes", "logits"):
        weights = graph.tensors[f"{layer}/weights"]
        assert weights.dtype == "int8"
        assert len(weights.quantisation.scales) == graph.shape(layer)[-1]


def test_int16x8_has_symmetric_int16_activations_and_says_what_it_is_for(made):
    quantized = made("RELU", "int16x8")
    graph = graph_of(quantized)

    assert ends_of(quantized) == [("image", "int16"), ("boxes", "int16"), ("scores", "int16")]
    assert not graph.float_ops()
    assert graph.tensors["image"].quantisation.scales[0] == pytest.approx(1 / 32767)
    assert "analysis only: 50-100x slower" in quantized.describe(load_recipe("int16x8"))


def test_int16x8_gives_equal_biases_a_scale_of_their_own(nets):
    # TensorFlow's own int16x8 shares one quantised bias among them, and is off by most of a logit.
    plain = read(nets["RELU"][0], PATH)
    biases = ("boxes/bias", "logits/bias")
    graph = with_values(plain, {name: np.full_like(plain.value(name), -4) for name in biases})
    net = write(graph)

    quantized = quantize(graph, tiny_net.ranges(net), load_recipe("int16x8"), path=PATH)

    expected, found = invoke(net), invoke(quantized.flatbuffer)
    assert np.abs(expected["boxes"] - found["boxes"]).max() < 0.05


def test_a_model_without_all_its_ranges_is_refused(nets):
    net, ranges = nets["RELU"]
    short = {name: found for name, found in ranges.items() if name != "deep"}

    with pytest.raises(ModelError, match="found none for 'deep'"):
        quantize(read(net, PATH), short, load_recipe("int8"), path=PATH)


def test_the_float_net_has_the_tensors_that_the_tests_name(nets):
    image = tiny_net.images()[0]

    taps = {name for name, _ in TappedModel(nets["RELU"][0], tiny_net.TRANSFORM).run(image)}

    assert taps >= {"stem", "active", "deep", "near", "wide", "joined", "boxes", "logits", "scores"}


def test_weights_too_large_for_one_quantiser_go_to_the_other_which_is_said():
    b = Builder({"image": (1, 1, 1, 2912)})
    weights = np.random.default_rng(0).normal(0, 0.1, (2912, 2912, 1, 1)).astype(np.float32)
    window = Window((1, 1), (1, 1))
    made = convolution(b, "image", weights, bias=np.zeros(2912, np.float32), window=window)
    graph = b.graph([made])
    ranges = {"image": Range(-1.0, 1.0), made: Range(-9.0, 9.0)}
    found = quantize(graph, ranges, load_recipe("int8"), path=PATH)
    assert found.quantizer == "tflite_converter"
    assert "more than 32 MiB, CONV_2D for" in found.reason
    with pytest.raises(ModelError, match=r"more than 32 MiB.*leave the recipe's quantizer at auto"):
        quantize(graph, ranges, load_recipe("int8").replace(quantizer="litert"), path=PATH)
