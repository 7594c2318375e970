"""Convolutions get biases of their own, and the function stays what it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from converter.graph.edits import insert_after, with_ops
from converter.graph.own_biases import with_own_biases
from converter.graph.reading import read
from converter.graph.values import Op, Tensor
from converter.graph.writing import write
from converter.quantize.repairs.weights import convolutions

PATH = Path("net.tflite")


def start():
    graph = read(tiny_net.build("RELU"), PATH)
    return graph, {op.output: op for op in graph.ops}


def sharing_net():
    """Return a net two of whose convolutions read one and the same bias."""
    graph, ops = start()
    deep, stem = ops["deep"], ops["stem"]
    changed = {op: (replace(op, inputs=(*op.inputs[:2], stem.inputs[2])),) for op in (deep, stem)}
    return with_ops(graph, changed)


def summing_net(*, is_read_twice=False, fused="NONE"):
    """Return a net with a constant that is added to its transposed convolution."""
    graph, _ = start()
    value = np.linspace(-1, 1, tiny_net.CHANNELS).astype(np.float32).reshape(1, 1, 1, -1)
    total = Tensor("total", graph.shape("wide"))
    added = Tensor("added", value.shape, value=value)
    add = Op("ADD", ("wide", "added"), ("total",), {"fusedActivationFunction": fused})
    found = insert_after(graph, "wide", [add], tensors=(total, added))
    return replace(found, outputs=(*found.outputs, "wide")) if is_read_twice else found


def run(graph, names):
    model = TappedModel(write(graph), tiny_net.TRANSFORM)
    taps = [dict(model.run(image)) for image in tiny_net.images(2)]
    return {name: np.stack([tap[name] for tap in taps]) for name in names}


def kinds(graph):
    return [op.kind for op in graph.ops]


def test_repairs_may_change_a_convolution_that_shared_its_bias():
    graph = sharing_net()

    before, after = (
        {layer.name for layer in convolutions(net)} for net in (graph, with_own_biases(graph))
    )

    assert after - before == {"stem", "deep"}


@pytest.mark.parametrize("build", [sharing_net, summing_net], ids=["shared bias", "sum behind"])
def test_the_function_stays_what_it_was(build):
    before, after = (run(graph, tiny_net.OUTPUTS) for graph in (build(), with_own_biases(build())))

    for name in tiny_net.OUTPUTS:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-5, atol=1e-5)


def test_a_constant_added_to_a_transposed_convolution_becomes_its_bias():
    found = with_own_biases(summing_net())

    assert "ADD" not in kinds(found)
    assert (found.producers["total"].kind, found.producers["total"].version) == (
        "TRANSPOSE_CONV",
        3,
    )


@pytest.mark.parametrize(
    "options",
    [{"is_read_twice": True}, {"fused": "RELU"}],
    ids=["another reads what is added to", "a ReLU in the sum"],
)
def test_a_sum_that_is_no_mere_bias_stays(options):
    net = summing_net(**options)

    assert with_own_biases(net) is net


def test_a_model_without_either_stays_as_it_is():
    net, _ = start()

    assert with_own_biases(net) is net
