"""Corrected biases give the rounded weights the mean output of the float ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from converter.choice import Choice, InputChoice
from converter.graph.reading import read
from converter.graph.values import Op
from converter.importers.tensorflow.importer import lower
from converter.quantize.repairs.bias_correction import correct_biases, mean_shift
from converter.quantize.repairs.weights import Convolution, rounding_error

pytestmark = pytest.mark.converter
PATH = Path("net.tflite")


def layer(weights, kind):
    return Convolution(Op(kind, ("x",), ("y",)), weights, np.zeros(2, np.float32))


def test_the_shift_of_a_convolution_is_what_it_adds_on_a_flat_image():
    error = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    mean = np.array([0.5, 1.0, 2.0, 4.0])

    shift = mean_shift(layer(error, "CONV_2D"), error, mean)

    by_hand = [
        sum(error[o, y, x, i] * mean[i] for y in range(3) for x in range(3) for i in range(4))
        for o in range(2)
    ]
    np.testing.assert_allclose(shift, by_hand, rtol=1e-5)


def test_each_group_of_a_grouped_convolution_has_its_own_means():
    error = np.ones((2, 1, 1, 2), np.float32)

    shift = mean_shift(layer(error, "CONV_2D"), error, np.array([1.0, 2.0, 10.0, 20.0]))

    np.testing.assert_allclose(shift, [3, 30])


def test_the_shift_of_a_depthwise_convolution_follows_its_own_channel():
    error = np.random.default_rng(1).normal(size=(1, 3, 3, 4)).astype(np.float32)
    mean = np.array([0.5, 2.0])  # a depth multiplier of two

    shift = mean_shift(layer(error, "DEPTHWISE_CONV_2D"), error, mean)

    np.testing.assert_allclose(shift, error.sum((0, 1, 2)) * [0.5, 0.5, 2.0, 2.0], rtol=1e-6)


def test_correction_subtracts_the_shift_from_the_bias(tiny_tfjs, tiny_weights):
    choice = Choice(input=InputChoice(size_wh=(5, 5)))
    made = lower(tiny_tfjs, "tfjs", family="ssd", choice=choice)
    mean = np.array([1.0, 2.0, 3.0])
    kernel = tiny_weights["kernel"].transpose(3, 0, 1, 2)  # (O, h, w, I)
    expected = tiny_weights["bias"] - rounding_error(kernel, (1, 2, 3)).sum((1, 2)) @ mean

    graph = correct_biases(made.graph, {"input": mean})

    (convolution,) = (op for op in graph.ops if len(op.inputs) == 3)
    found = graph.value(convolution.inputs[2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (found != tiny_weights["bias"]).any()


def test_a_layer_that_stays_float_keeps_its_bias():
    net = read(tiny_net.build("RELU"), PATH)
    means = {"image": np.ones(3), "active": np.ones(8), "joined": np.ones(24)}

    found = correct_biases(net, means, skip=frozenset({"boxes"}))

    changed = {
        name
        for name in net.tensors
        if net.is_constant(name) and (found.value(name) != net.value(name)).any()
    }
    assert changed == {"stem/bias", "deep/bias", "logits/bias"}
