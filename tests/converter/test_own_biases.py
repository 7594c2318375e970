"""Convolutions get biases of their own, and the function stays what it was."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from reference import tiny_net

from calibration.observe import TappedModel
from converter import flatbuffer as fb
from converter.own_biases import with_own_biases
from converter.quantize.repairs.weights import convolutions

HALF = (1, tiny_net.SIDE // 2, tiny_net.SIDE // 2, tiny_net.CHANNELS)


def start():
    net = tiny_net.Net()
    image = net.tensor("image", (1, tiny_net.SIDE, tiny_net.SIDE, 3))
    return net, image, net.conv(image, "stem", HALF, kernel=(tiny_net.CHANNELS, 3, 3, 3), stride=2)


def sharing_net():
    """Return two depthwise convolutions that read one and the same bias."""
    net, image, stem = start()
    shape = (1, HALF[1] // 2, HALF[2] // 2, HALF[3])
    first, second = net.depthwise(stem, "first", shape), net.depthwise(stem, "second", shape)
    ops = net.graph.operators
    ops[-1].inputs = [*ops[-1].inputs[:2], ops[-2].inputs[2]]
    return net.finish(image, {"boxes": first, "scores": second})


def summing_net(*, is_read_twice=False, fused=schema.ActivationFunctionType.NONE):
    """Return a transposed convolution and the constant that is added to it."""
    net, image, stem = start()
    whole = (1, tiny_net.SIDE, tiny_net.SIDE, tiny_net.CHANNELS)
    wide, total = net.tensor("wide", whole), net.tensor("total", whole)
    net.transpose_conv(stem, wide, whole)
    options = schema.AddOptionsT()
    options.fusedActivationFunction = fused
    net.op("ADD", [wide, net.weights("added", (1, 1, 1, tiny_net.CHANNELS))], total, options)
    return net.finish(image, {"boxes": total} | ({"scores": wide} if is_read_twice else {}))


def run(net, names):
    model = TappedModel(net, tiny_net.TRANSFORM)
    taps = [dict(model.run(image)) for image in tiny_net.images(2)]
    return {name: np.stack([tap[name] for tap in taps]) for name in names}


def kinds(net):
    model = fb.unpack(net)
    return [model.operatorCodes[op.opcodeIndex].builtinCode for op in model.subgraphs[0].operators]


def test_repairs_may_change_a_convolution_that_shared_its_bias():
    net = sharing_net()

    names = [layer.name for layer in convolutions(fb.unpack(with_own_biases(net)))]

    assert [layer.name for layer in convolutions(fb.unpack(net))] == ["stem"]
    assert names == ["stem", "first", "second"]


@pytest.mark.parametrize(
    ("build", "names"),
    [(sharing_net, ["first", "second"]), (summing_net, ["total"])],
    ids=["shared bias", "sum behind"],
)
def test_the_function_stays_what_it_was(build, names):
    before, after = run(build(), names), run(with_own_biases(build()), names)

    for name in names:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-5)


def test_a_constant_added_to_a_transposed_convolution_becomes_its_bias():
    net = summing_net()

    assert schema.BuiltinOperator.ADD in kinds(net)
    assert schema.BuiltinOperator.ADD not in kinds(with_own_biases(net))


@pytest.mark.parametrize(
    "options",
    [{"is_read_twice": True}, {"fused": schema.ActivationFunctionType.RELU}],
    ids=["another reads what is added to", "a ReLU in the sum"],
)
def test_a_sum_that_is_no_mere_bias_stays(options):
    net = summing_net(**options)

    assert with_own_biases(net) == net


def test_a_model_without_either_keeps_its_bytes():
    net = tiny_net.build()

    assert with_own_biases(net) == net
