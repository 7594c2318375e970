"""A filter without weights keeps its bias through either quantiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.dead_filters import with_live_filters
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter
BIAS = 3.0
PATH = Path("n.tflite")


def net_with_dead_filters():
    """Return the tiny net, the first filter of `boxes` and the last of `deep` without weights."""
    graph = read(tiny_net.build("RELU"), PATH)
    values = {}
    for layer, part in (("boxes", np.s_[0]), ("deep", np.s_[..., -1])):
        for kind, value in (("weights", 0), ("bias", BIAS)):
            name = f"{layer}/{kind}"
            values[name] = np.array(graph.value(name))
            values[name][part] = value
    return with_values(graph, values)


def ranges_of(graph):
    return tiny_net.ranges(write(graph))


def taps_of(net):
    return dict(TappedModel(write(net), tiny_net.TRANSFORM).run(tiny_net.images()[0]))


@pytest.mark.parametrize("name", ["int8", "int16x8"])
def test_a_dead_filter_still_gives_its_bias(name):
    net = net_with_dead_filters()
    made = quantize(net, ranges_of(net), load_recipe(name), path=PATH)

    runtime = open_interpreter(made.flatbuffer, PATH, threads=1)
    runtime.invoke()

    (boxes,) = [row for row in runtime.get_output_details() if row["name"] == "boxes"]
    scale, zero = boxes["quantization"]
    found = (runtime.get_tensor(boxes["index"])[..., 0].astype(float) - zero) * scale
    np.testing.assert_allclose(found, BIAS, atol=max(scale, BIAS / 60))


def test_the_tiny_weight_moves_the_float_net_by_less_than_a_thousandth_of_the_bias():
    net = net_with_dead_filters()
    live = with_live_filters(net, ranges_of(net))

    before, after = taps_of(net), taps_of(live)

    assert (live.value("boxes/weights") != net.value("boxes/weights")).any()
    for name in ("boxes", "deep", "scores"):
        assert np.abs(before[name] - after[name]).max() < BIAS / 1000


def test_a_net_without_dead_filters_is_handed_on_as_it_is():
    net = read(tiny_net.build("RELU"), PATH)

    live = with_live_filters(net, ranges_of(net))

    assert all(live.value(name) is net.value(name) for name in net.tensors)
