"""TensorFlow, in its child process, lowers a graph to a float model that gives the same numbers."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

from converter.cut import lower_cut
from converter.graph.reading import read
from converter.graphdef import Graph, Node
from converter.importers import tfjs
from converter.importers.ssd_graph import find_ssd
from converter.lowering import lower
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec

pytestmark = pytest.mark.converter

# Share of the head's range; float kernels that sum in another order differ by 1e-6.
TOLERANCE = 1e-3


def run(flatbuffer, path, inputs):
    """Return each output of a bare model, by name, for `(N, H, W, 3)` inputs."""
    runtime = open_interpreter(flatbuffer, path, threads=1)
    rows = [tensor_spec(detail) for detail in runtime.get_output_details()]
    found = {row.name: [] for row in rows}
    for image in inputs:
        runtime.set_tensor(runtime.get_input_details()[0]["index"], image[None])
        runtime.invoke()
        for row in rows:
            found[row.name].append(runtime.get_tensor(row.index)[0])
    return {name: np.array(heads) for name, heads in found.items()}


def test_a_small_graph_is_lowered_with_the_numbers_it_had(tiny_tfjs):
    inputs = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype(np.float32)

    made = lower(
        tfjs.read(tiny_tfjs), feed="input", fetches={"boxes": "flat"}, shape=(1, 5, 5, 3),
        inputs=inputs,
    )  # fmt: skip

    found = run(made.flatbuffer, tiny_tfjs, inputs)
    assert found.keys() == {"boxes"}
    np.testing.assert_allclose(found["boxes"], made.heads["boxes"], atol=1e-5)
    assert made.error_ratio < 1e-5
    assert made.describe("cut").startswith("cut; import checked against TensorFlow: within 1e-")


def test_a_graph_that_tensorflow_refuses_gives_one_sentence_with_the_logs_place(tmp_path):
    graph = Graph({"odd": Node("odd", "NoSuchOp", ("input",))}, {})

    with pytest.raises(ModelError, match=r"NoSuchOp.*its log is .*\.log") as caught:
        lower(graph, feed="input", fetches={"boxes": "odd"}, shape=(1, 5, 5, 3))
    assert "\n" not in str(caught.value)


def test_the_parent_never_loads_tensorflow(tiny_tfjs):
    assert "tensorflow" not in sys.modules


@pytest.mark.assets
def test_the_real_detector_keeps_its_heads_and_loses_its_float_decode(assets):
    path = assets / "models" / "ssdlite_mobilenet_v2_coco_tfjs" / "model.json"
    graph = tfjs.read(path)
    cut = find_ssd(graph)
    inputs = np.random.default_rng(2).uniform(-1, 1, (2, 300, 300, 3)).astype(np.float32)

    made = lower_cut(graph, cut, inputs=inputs)

    found = run(made.flatbuffer, path, inputs)
    for role, expected in made.heads.items():
        error = np.abs(found[role].reshape(expected.shape) - expected).max()
        assert error <= TOLERANCE * np.ptp(expected)
    assert Counter(op.kind for op in read(made.flatbuffer, path).ops) == {
        "CONV_2D": 55, "DEPTHWISE_CONV_2D": 33, "RESHAPE": 13, "ADD": 10, "CONCATENATION": 2,
    }  # fmt: skip
