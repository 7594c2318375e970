from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_nets import BLOCKS, net_of
from litert_runs import run

from calibration.ranges import Range
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from converter.quantize.running import tapped
from converter.train.twin.building import build

pytestmark = pytest.mark.converter
# TensorFlow's quantiser, in a child, makes them; or ops that no int8 kernel computes to one level.
LEFT_OUT = {"leaky", "prelu", "softmax"}


def images(graph, count=6):
    shape = graph.shape(graph.inputs[0])
    random = np.random.default_rng(0)
    return [[random.normal(0, 1, shape).astype(np.float32)] for _ in range(count)]


def ranges_of(graph, inputs):
    names = (*graph.inputs, *(name for op in graph.ops for name in op.outputs))
    found = {}
    for tensors in tapped(graph, names, inputs):
        for name, values in zip(names, tensors, strict=True):
            one = Range(float(values.min()), float(values.max()))
            found[name] = found[name].merge(one) if name in found else one
    return found


def trained(graph, inputs):
    """Return a twin whose weights and ranges were moved, as training moves them."""
    twin = build(graph, ranges=ranges_of(graph, inputs))
    random = np.random.default_rng(1)
    for variable in twin.model.trainable_variables:
        variable.assign(variable * random.uniform(0.9, 1.1, tuple(variable.shape)))
    return twin


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - LEFT_OUT))
def test_int8_gives_what_the_rounding_twin_gives_within_a_level(name):
    graph = net_of(name)
    inputs = images(graph)
    twin = trained(graph, inputs)
    made = quantize(
        with_values(twin.graph, twin.weights()), twin.ranges(), load_recipe("int8"),
        path=Path("net.tflite"),
    )  # fmt: skip
    whole = read(made.flatbuffer, Path("net.tflite"))
    levels, (output,) = whole.tensors[whole.inputs[0]].quantisation, whole.outputs
    scale = whole.tensors[output].quantisation
    worst = []
    for (image,) in inputs:
        steps = np.clip(np.round(image / levels.scales) + levels.zero_points, -128, 127)
        (found,) = run(write(whole), steps.astype(np.int8)).values()
        wanted = np.asarray(twin.model(image)[graph.outputs[0]])
        real = (found.astype(np.float32) - scale.zero_points) * scale.scales
        worst.append(float(np.abs(real - wanted).max() / scale.scales[0]))
    assert max(worst) < 1.01


def test_gradients_reach_weights_and_ranges_through_the_rounding():
    tensorflow = pytest.importorskip("tensorflow")
    graph = net_of("plain")
    inputs = images(graph)
    twin = trained(graph, inputs)
    with tensorflow.GradientTape() as tape:
        made = twin.model(inputs[0][0], training=True)[graph.outputs[0]]
        loss = tensorflow.reduce_sum(made**2)
    slopes = tape.gradient(loss, twin.model.trainable_variables)
    assert all(slope is not None for slope in slopes)
    assert all(float(np.abs(slope).max()) > 0 for slope in slopes if len(slope.shape) > 1)
