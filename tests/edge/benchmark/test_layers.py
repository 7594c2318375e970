"""Ops cut out of a model compute what they compute in it; their times add up to a table."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge.benchmark import layers
from edge.benchmark.layers import cut, empty
from edge.model import model_file
from edge.model.backends.litert import open_interpreter, runtime_module
from edge.model.backends.litert_ops import list_ops
from edge.model.default import default_model_path

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def file():
    return model_file.read(default_model_path())


@pytest.fixture(scope="module")
def ops(file):
    return list_ops(file)


@pytest.fixture(scope="module")
def tensors(file, ops):
    """Return what each tensor holds after one invoke of the whole model on noise."""
    whole = open_interpreter(
        file.flatbuffer,
        file.path,
        threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    detail = whole.get_input_details()[0]
    noise = np.random.default_rng(1).integers(-128, 128, detail["shape"], np.int8)
    whole.set_tensor(detail["index"], noise)
    whole.invoke()
    numbers = {number for op in ops for number in (*op.inputs, *op.outputs)}
    return {number: whole.get_tensor(number) for number in numbers}


def test_ops_are_listed_as_they_are_in_the_file(ops):
    assert [op.number for op in ops] == list(range(len(ops)))
    assert ops[0].kind == "CONV_2D"
    assert {"DEPTHWISE_CONV_2D", "ADD", "CONCATENATION"} <= {op.kind for op in ops}
    assert all(op.kind != "DELEGATE" for op in ops)
    # Weights are not inputs: an addition has two, a convolution one.
    assert {len(op.inputs) for op in ops if op.kind == "ADD"} == {2}
    assert {len(op.inputs) for op in ops if op.kind == "CONV_2D"} == {1}


def test_each_op_alone_computes_what_it_does_in_the_model(file, ops, tensors):
    for op in ops:
        alone = open_interpreter(cut(file.flatbuffer, op), file.path, threads=1)
        for number in op.inputs:
            alone.set_tensor(number, tensors[number])
        alone.invoke()

        for number in op.outputs:
            difference = alone.get_tensor(number).astype(int) - tensors[number].astype(int)
            # XNNPACK and the reference kernels may round a half differently.
            assert np.abs(difference).max() <= 1, op


def test_a_model_without_an_op_hands_its_input_through(file, ops):
    number = ops[0].inputs[0]
    nothing = open_interpreter(empty(file.flatbuffer, number), file.path, threads=1)

    nothing.invoke()

    assert [detail["index"] for detail in nothing.get_output_details()] == [number]


def test_shares_add_up_and_the_sum_is_near_the_whole(file, capsys):
    seen = []
    timed = layers.measure(
        file, passes=3, window_ms=0.1, progress=lambda done, total: seen.append((done, total))
    )

    assert sum(layer.share_ratio for layer in timed.layers) == pytest.approx(1)
    assert seen[-1] == (3 * len(timed.layers), 3 * len(timed.layers))
    # A busy machine interrupts the whole model's 8 ms (0.18 at a load of 11 on two cores), and no
    # op's microseconds; a wrong cut would be off by far more.
    assert 0.02 < timed.sum_ratio < 5
    heaviest = sum(layer.share_ratio for layer in timed.layers if "CONV" in layer.kind)
    assert heaviest > 0.8


def test_a_table_and_json_tell_the_method(file):
    timed = layers.measure(file, passes=1, window_ms=0.01)

    text = layers.render(timed)
    assert "cut out and invoked alone" in text
    assert "the whole model" in text
    fields = json.loads(json.dumps(layers.fields([timed])))
    assert fields["models"][0]["layers"][0]["kind"] == "CONV_2D"
