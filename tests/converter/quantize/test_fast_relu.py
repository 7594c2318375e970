"""A lone int8 RELU becomes the QUANTIZE that gives the same, on XNNPACK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.fast_relu import with_fast_relus
from converter.quantize.quantize import quantize
from converter.quantize.quantize_litert import quantize_litert, rules_of
from converter.quantize.recipe import load_recipe
from edge.model.backends.litert import open_interpreter

PATH = Path("tiny.tflite")
INT8 = load_recipe("int8")


@pytest.fixture(scope="module")
def plain():
    net = tiny_net.build("RELU")
    made = quantize_litert(net, tiny_net.ranges(net), rules_of(INT8), path=PATH)
    return read(made, PATH)


def kinds(graph):
    return [op.kind for op in graph.ops]


def outputs_of(graph, values):
    runtime = open_interpreter(write(graph), PATH, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], values)
    runtime.invoke()
    found = runtime.get_output_details()
    return {row["name"]: runtime.get_tensor(row["index"]).astype(int) for row in found}


def test_the_outputs_stay_within_a_few_levels(plain):
    random = np.random.default_rng(0)
    shape = (1, tiny_net.SIDE, tiny_net.SIDE, 3)
    values = random.integers(-128, 128, shape, np.int8)

    before, after = outputs_of(plain, values), outputs_of(with_fast_relus(plain), values)

    for name, wanted in before.items():
        assert np.abs(after[name] - wanted).max() <= 3


def test_every_lone_relu_of_a_quantised_model_is_replaced(plain):
    assert "RELU" in kinds(plain)

    net = tiny_net.build("RELU")
    made = quantize(read(net, PATH), tiny_net.ranges(net), INT8, path=PATH)

    assert "RELU" not in kinds(read(made.flatbuffer, PATH))
    assert kinds(with_fast_relus(plain)).count("QUANTIZE") == kinds(plain).count("QUANTIZE") + 1


def test_a_float_relu_stays():
    net = read(tiny_net.build("RELU"), PATH)

    assert with_fast_relus(net).ops == net.ops
