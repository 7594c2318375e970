"""A SiLU with a gain is the same function, and lets int8 give each channel its own step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from calibration.ranges import Range
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.quantization import fitted
from converter.quantize.quantize import quantize
from converter.quantize.recipe import Selection, load_recipe, with_kept_ops
from converter.quantize.repairs.equalisation import equalise
from converter.quantize.repairs.gains import SATURATED, saturated, silus, with_gains
from converter.quantize.repairs.weights import convolutions
from edge.model.backends.litert import open_interpreter
from edge.model.quant import Quant

PATH = Path("silu.tflite")
HALF = (1, tiny_net.SIDE // 2, tiny_net.SIDE // 2, tiny_net.CHANNELS)


def silu_net(spread=1.0):
    """Return stem, SiLU (`active`), a depthwise convolution (`deep`) and `boxes`.

    The channels of the stem peak up to `spread` times apart, and `deep` makes them alike again.
    """
    net = tiny_net.Net()
    image = net.tensor("image", (1, tiny_net.SIDE, tiny_net.SIDE, 3))
    stem = net.conv(image, "stem", HALF, kernel=(tiny_net.CHANNELS, 3, 3, 3), stride=2)
    sigmoid, active = net.tensor("sigmoid", HALF), net.tensor("active", HALF)
    net.op("LOGISTIC", [stem], sigmoid, None)
    net.op("MUL", [stem, sigmoid], active, tiny_net.schema.MulOptionsT())
    quarter = (1, HALF[1] // 2, HALF[2] // 2, tiny_net.CHANNELS)
    deep = net.depthwise(active, "deep", quarter)
    boxes = net.conv(deep, "boxes", (*quarter[:3], 4), kernel=(4, 1, 1, tiny_net.CHANNELS))
    graph = read(net.finish(image, {"boxes": boxes}), PATH)
    first, second, _ = convolutions(graph)
    gains = np.geomspace(1, spread, tiny_net.CHANNELS)
    widened = first.values(
        weights=first.weights * gains[:, None, None, None], bias=first.bias * gains
    )
    return with_values(graph, widened | second.values(weights=second.weights / gains))


def observed(graph):
    model = TappedModel(write(graph), tiny_net.TRANSFORM)
    return [dict(model.run(image)) for image in tiny_net.images()]


def peaks_of(graph):
    taps = observed(graph)
    return {
        name: np.max([np.abs(tap[name]).reshape(-1, tap[name].shape[-1]).max(0) for tap in taps], 0)
        for name in taps[0]
    }


def equalised(graph):
    return equalise(graph, peaks_of(graph))


def quantised(graph, recipe=None):
    found = saturated(graph, tiny_net.ranges(write(graph)))
    return quantize(graph, found, recipe or load_recipe("int8"), path=PATH)


def snr_db(graph):
    """Return how far int8's boxes are from the float model's, by power."""
    runtime = open_interpreter(quantised(graph).flatbuffer, PATH, threads=1)
    source, output = runtime.get_input_details()[0], runtime.get_output_details()[0]
    signal = noise = 0.0
    for tap in observed(graph):
        runtime.set_tensor(
            source["index"],
            Quant(*source["quantization"]).quantize(tap["image"], np.dtype(np.int8)),
        )
        runtime.invoke()
        made = Quant(*output["quantization"]).dequantize(runtime.get_tensor(output["index"]))
        signal += float((tap["boxes"] ** 2).sum())
        noise += float(((made - tap["boxes"]) ** 2).sum())
    return 10 * np.log10(signal / noise)


def kinds(graph):
    return [op.kind for op in graph.ops]


def test_gains_and_their_factors_leave_the_function_what_it_was():
    net = silu_net(spread=300)

    equal = equalised(net)

    assert kinds(equal) == [*kinds(net)[:1], "DEPTHWISE_CONV_2D", *kinds(net)[1:]]
    for before, after in zip(observed(net), observed(equal), strict=True):
        scale = np.abs(before["boxes"]).max()
        np.testing.assert_allclose(after["boxes"], before["boxes"], atol=1e-5 * scale)
        np.testing.assert_allclose(after["sigmoid"], before["sigmoid"], atol=1e-5)


def test_the_channels_of_a_silu_come_nearer_to_the_widest():
    net = silu_net(spread=300)

    before, after = peaks_of(net), peaks_of(equalised(net))

    for name in ("stem", "active"):
        assert after[name].max() / after[name].min() < before[name].max() / before[name].min() / 10


@pytest.mark.converter
def test_int8_holds_a_silu_of_unequal_channels_with_gains_and_only_with_them():
    net = silu_net(spread=1000)

    assert snr_db(net) < 20
    assert snr_db(equalised(net)) > 30


def test_a_silu_of_equal_channels_gets_no_gain():
    net = silu_net()
    even = {name: np.full_like(values, values.max()) for name, values in peaks_of(net).items()}

    assert write(equalise(net, even)) == write(net)


def test_a_gain_that_the_neighbours_hold_at_1_is_taken_out():
    net = silu_net(spread=300)
    held = replace(net, outputs=(*net.outputs, "active"))

    assert kinds(equalise(held, peaks_of(net))) == kinds(net)


def test_what_only_a_sigmoid_reads_is_cut_where_it_saturates():
    net = silu_net()
    graph = with_gains(net, [product for _, product in silus(net)])
    wide = {name: Range(-100, 3) for name in (*graph.inputs, *graph.producers)}

    cut = saturated(graph, wide)

    assert cut == wide | {"sigmoid_gain": Range(-SATURATED, 3)}
    assert saturated(net, wide) == wide


@pytest.mark.converter
def test_a_sigmoid_that_is_kept_float_keeps_its_gain_float():
    net = equalised(silu_net(spread=300))
    recipe = with_kept_ops(
        load_recipe("int8"), Selection(names=("^stem$", "^sigmoid$", "^active$"))
    )

    made = quantised(net, recipe)

    assert made.islands["float32"] == {
        "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "LOGISTIC": 1, "MUL": 1
    }  # fmt: skip


def test_the_plain_recipe_equalises_models_with_silus_and_no_others():
    recipe = load_recipe("int8")

    assert fitted(recipe, silu_net()).repairs == ("equalisation", "bias_correction")
    relu = read(tiny_net.build("RELU"), PATH)
    assert fitted(recipe, relu).repairs == ("bias_correction",)
