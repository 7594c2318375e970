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


def residual_net(*, is_read_twice=False, parts=("wide", "near")):
    """Return a net with ``AddN(conv, x) + bias``, as TensorFlow's optimiser leaves a block."""
    graph, _ = start()
    value = np.linspace(-1, 1, tiny_net.CHANNELS).astype(np.float32)
    row = Tensor("row", value.shape, value=value)
    sums = (Tensor("sum", graph.shape("wide")), Tensor("total", graph.shape("wide")))
    leaf = Op("ADD_N", parts, ("sum",))
    add = Op("ADD", ("row", "sum"), ("total",), {"fusedActivationFunction": "RELU"})
    found = insert_after(graph, "wide", [leaf, add], tensors=(*sums, row))
    return replace(found, outputs=(*found.outputs, "sum")) if is_read_twice else found


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

    assert after - before == {"active", "deep"}  # the stem has taken the RELU behind it in


@pytest.mark.parametrize("build", [sharing_net, summing_net, residual_net])
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
    assert "ADD" in kinds(with_own_biases(summing_net(**options)))


def test_a_bias_behind_a_residual_sum_goes_back_to_its_convolution():
    found = with_own_biases(residual_net())

    assert "ADD_N" not in kinds(found)
    assert [op.inputs for op in found.ops if op.kind == "ADD"] == [("wide", "near")]
    assert found.producers["total"].activation == "RELU"


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"is_read_twice": True}, ["ADD", "ADD"]),
        ({"parts": ("wide", "near", "near")}, ["ADD_N", "ADD"]),
    ],
    ids=["another reads the sum", "a sum of three"],
)
def test_a_residual_sum_that_is_no_such_stays(options, left):
    found = with_own_biases(residual_net(**options))

    assert [kind for kind in kinds(found) if kind.startswith("ADD")] == left


def test_an_op_without_a_bias_gets_one_of_zeros():
    graph, ops = start()

    found = with_own_biases(graph)

    assert len(ops["wide"].inputs) == 3
    assert not found.value(found.producers["wide"].inputs[3]).any()
    assert found.producers["wide"].version == 3
    np.testing.assert_array_equal(run(found, ["wide"])["wide"], run(graph, ["wide"])["wide"])


def test_a_factor_of_weights_that_two_ops_share_stays():
    graph, ops = start()
    again = replace(ops["boxes"], outputs=("boxes_again",))
    tensors = {"boxes_again": graph.tensors["boxes"], "two": graph.tensors["boxes/bias"]}
    double = Op("MUL", ("boxes_again", "two"), ("doubled",))
    tensors["doubled"] = graph.tensors["boxes"]
    named = [replace(tensor, name=name) for name, tensor in tensors.items()]
    graph = with_ops(graph, {ops["boxes"]: (ops["boxes"], again, double)}, tensors=named)
    graph = replace(graph, outputs=(*graph.outputs, "doubled"))

    found = with_own_biases(graph)

    assert "MUL" in kinds(found)
    np.testing.assert_allclose(
        run(found, ["doubled"])["doubled"], run(graph, ["doubled"])["doubled"]
    )


def test_a_model_whose_biases_are_its_own_keeps_its_bytes():
    graph = with_own_biases(start()[0])

    assert write(with_own_biases(graph)) == write(graph)
