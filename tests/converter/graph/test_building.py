"""Graphs written op by op: shapes, versions, and what becomes one op."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution
from converter.graph.writing import write
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter

IMAGE = (1, 6, 8, 3)


def new_builder():
    return Builder({"input": IMAGE})


def convolved(builder, value="input", *, window=None, bias=None):
    filters = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    return convolution(builder, value, filters, bias=bias, window=window or Window((3, 3)))


def invoke(graph, image):
    runtime = open_interpreter(write(graph), Path("built.tflite"), threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image)
    runtime.invoke()
    return [runtime.get_tensor(row["index"]) for row in runtime.get_output_details()]


def test_each_convolution_has_a_bias_of_its_own():
    builder = new_builder()
    graph = builder.graph([convolved(builder), convolved(builder)])

    names = [op.inputs[2] for op in graph.ops]
    values = [graph.value(name) for name in names]

    assert len(set(names)) == 2
    assert not np.shares_memory(*values)


@pytest.mark.parametrize(
    ("pads", "kinds"),
    [
        pytest.param(((0, 0), (0, 0)), ["CONV_2D"], id="none"),
        pytest.param(((1, 1), (1, 1)), ["CONV_2D"], id="same"),
        pytest.param(((0, 1), (1, 1)), ["PAD", "CONV_2D"], id="neither"),
    ],
)
def test_a_pad_is_written_only_where_tflite_has_no_word_for_it(pads, kinds):
    builder = new_builder()
    graph = builder.graph([convolved(builder, window=Window((3, 3), pads=pads))])

    assert [op.kind for op in graph.ops] == kinds


def test_padding_that_no_window_reaches_is_left_out():
    builder = new_builder()
    window = Window((3, 3), (2, 2), pads=((0, 1), (0, 1)))  # 6 rows: SAME pads 0 and 1

    graph = builder.graph([convolved(builder, window=window)])

    assert [op.options["padding"] for op in graph.ops] == ["SAME"]


def test_an_activation_goes_into_the_op_before_unless_another_reads_that():
    builder = new_builder()
    first = convolved(builder)
    lone = builder.graph([builder.unary("RELU6", first)])
    both = builder.graph([builder.unary("RELU6", first), builder.unary("TANH", first)])

    assert [(op.kind, op.activation) for op in lone.ops] == [("CONV_2D", "RELU6")]
    assert [op.kind for op in both.ops] == ["CONV_2D", "RELU6", "TANH"]


def test_factors_and_sums_a_channel_go_into_the_weights_and_change_no_number():
    builder = new_builder()
    made = convolved(builder, bias=np.arange(4, dtype=np.float32))
    for kind, row in (("MUL", [2.0, -1, 0.5, 3]), ("ADD", [1.0, 2, 3, 4])):
        made = builder.binary(kind, made, builder.constant(np.array(row).reshape(1, 1, 1, 4)))
    image = np.random.default_rng(1).normal(size=IMAGE).astype(np.float32)

    folded = builder.graph([made])
    (found,) = invoke(folded, image)
    plain = new_builder()
    (before,) = invoke(plain.graph([convolved(plain, bias=np.arange(4, dtype=np.float32))]), image)

    assert [op.kind for op in folded.ops] == ["CONV_2D"]
    np.testing.assert_allclose(found, before * [2, -1, 0.5, 3] + [1, 2, 3, 4], atol=1e-5)


def test_a_sum_of_two_images_is_not_taken_for_a_bias():
    builder = new_builder()
    graph = builder.graph([builder.binary("ADD", convolved(builder), convolved(builder))])

    assert [op.kind for op in graph.ops] == ["CONV_2D", "CONV_2D", "ADD"]


def test_axes_of_size_one_move_by_a_reshape_and_reshapes_join():
    builder = new_builder()
    mean = builder.reduce("MEAN", "input", (1, 2))  # (1, 1, 1, 3)
    moved = builder.reshape(builder.transpose(mean, (0, 3, 1, 2)), (1, 3))

    graph = builder.graph([moved])

    assert [op.kind for op in graph.ops] == ["MEAN", "RESHAPE"]


def test_the_same_part_is_taken_once():
    builder = new_builder()
    parts = [builder.part("input", 1, start=0, stop=3) for _ in range(2)]

    assert parts[0] == parts[1]
