"""Ranges go where they belong, and no float op stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.ranges import Range
from converter.graph.values import Graph, Op, Tensor
from converter.quantize.islands import refuse_float, unwanted
from converter.quantize.quantize import join_copies
from converter.quantize.recipe import load_recipe
from converter.quantize.repairs.weights import rounding_error
from edge.errors import ModelError


def chained(*ops, count):
    """Return a graph of float tensors `t0`, `t1`, … joined by (kind, inputs, output)."""
    made = tuple(
        Op(kind, tuple(f"t{number}" for number in inputs), (f"t{output}",))
        for kind, inputs, output in ops
    )
    tensors = {f"t{number}": Tensor(f"t{number}", (1, 4)) for number in range(count)}
    return Graph(tensors, made, ("t0",), (f"t{count - 1}",))


def test_the_inputs_of_a_concatenation_take_its_range_back_through_reshapes():
    graph = chained(
        ("CONV_2D", (0,), 1), ("CONV_2D", (0,), 2), ("RESHAPE", (1,), 3),
        ("CONCATENATION", (3, 2), 4), ("RESHAPE", (4,), 5), count=6,
    )  # fmt: skip
    ranges = {f"t{number}": Range(-number, number) for number in range(6)}

    joined = join_copies(graph, ranges)

    assert {joined[f"t{number}"] for number in range(1, 6)} == {Range(-5, 5)}
    assert joined["t0"] == ranges["t0"]


def test_a_tensor_that_something_else_reads_keeps_its_own_range():
    graph = chained(("CONV_2D", (0,), 1), ("RELU", (1,), 2), ("RESHAPE", (1,), 3), count=4)
    ranges = {f"t{number}": Range(-number, number) for number in range(4)}

    assert join_copies(graph, ranges)["t1"] == Range(-1, 1)


def test_a_float_op_is_refused_by_its_name_and_number():
    graph = chained(("LEAKY_RELU", (0,), 1), ("LEAKY_RELU", (1,), 2), count=3)

    with pytest.raises(ModelError, match="float LEAKY_RELU x2"):
        refuse_float(unwanted(graph, load_recipe("int8")), Path("m.tflite"), quantizer="litert")


def test_the_rounding_error_is_that_of_127_levels_a_channel():
    weights = np.array([[1.0, 0.4 / 127, -0.6 / 127], [0.0, 0.0, 0.0]], np.float32)

    error = rounding_error(weights, (1,))

    np.testing.assert_allclose(error[0], [0, -0.4 / 127, -0.4 / 127], atol=1e-7)
    np.testing.assert_array_equal(error[1], 0)
