"""Residual additions that TensorFlow's optimiser rewrote are put back."""

from __future__ import annotations

import numpy as np

from converter.importers.tensorflow.graphdef import Graph, Node
from converter.importers.tensorflow.regroup import regroup_additions

T = {"T": {"type": 1}}


def residual(**changes):
    """Return ``AddN(conv, x) + bias`` as the optimiser leaves it."""
    nodes = {
        "x": Node("x", "Relu6", ("input",), T),
        "conv": Node("conv", "Conv2D", ("x", "w"), T),
        "leaf": Node("leaf", "AddN", ("conv", "x"), T | {"N": {"i": "2"}}),
        "bias": Node("bias", "Const"),
        "sum": Node("sum", "Add", ("bias", "leaf"), T),
    }
    return Graph(nodes | changes, {"bias": np.zeros(4, np.float32)})


def test_the_bias_goes_back_to_its_convolution():
    nodes = regroup_additions(residual()).nodes

    assert (nodes["leaf"].op, nodes["leaf"].inputs) == ("AddV2", ("conv", "bias"))
    assert (nodes["sum"].op, nodes["sum"].inputs) == ("AddV2", ("leaf", "x"))


def test_a_sum_that_something_else_reads_keeps_its_value():
    nodes = regroup_additions(residual(other=Node("other", "Relu", ("leaf",), T))).nodes

    assert nodes["leaf"].inputs == ("conv", "x")
    assert nodes["sum"].inputs == ("bias", "leaf")


def test_a_convolution_that_something_else_reads_keeps_its_value():
    nodes = regroup_additions(residual(other=Node("other", "Relu", ("conv",), T))).nodes

    assert nodes["leaf"].inputs == ("conv", "x")


def test_a_sum_of_three_is_left_alone():
    three = Node("leaf", "AddN", ("conv", "x", "x"), T)

    assert regroup_additions(residual(leaf=three)).nodes["leaf"] == three
