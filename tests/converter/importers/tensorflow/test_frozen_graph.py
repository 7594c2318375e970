"""Frozen graphs and SavedModels are checked without TensorFlow; what is unsafe is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damaged_files import faults
from graphdef_files import CONSTANTS, graph_message, segmenter

from converter.choice import Choice
from converter.importers.tensorflow import frozen_graph, graph_input
from converter.importers.tensorflow.frozen_graph import SAVED_MODEL, SAVERS, disarmed_saved_model
from converter.importers.tensorflow.graphdef_schema import message_class
from converter.importing import import_draft
from edge.errors import ModelError

pytestmark = pytest.mark.converter
PATH = Path("graph.pb")


def read(rows, constants=CONSTANTS):
    return frozen_graph.read_bytes(graph_message(rows, constants).SerializeToString(), PATH)


def test_nodes_and_constants_are_what_was_written():
    graph = read(segmenter())

    assert graph.nodes["conv"].inputs == ("image", "kernel")
    np.testing.assert_array_equal(graph.constants["means"], [123, 117, 104])
    assert graph.constants["size"].dtype == np.int32


def test_a_graph_is_read_without_tensorflow(tmp_path):
    file = tmp_path / "graph.pb"
    file.write_bytes(graph_message(segmenter(), CONSTANTS).SerializeToString())
    # In a process of its own: other tests of this one train.
    program = (
        "import sys; from pathlib import Path\n"
        "from converter.importers.tensorflow import frozen_graph\n"
        "file = Path(sys.argv[1])\n"
        "frozen_graph.read_bytes(file.read_bytes(), file)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program, str(file)], check=False).returncode == 0


def test_a_constant_with_one_value_is_repeated_to_its_shape():
    graph = graph_message(segmenter(), CONSTANTS)
    tensor = next(node for node in graph.node if node.name == "bias").attr["value"].tensor
    tensor.tensor_content = b""
    tensor.float_val.append(0.5)

    found = frozen_graph.read_bytes(graph.SerializeToString(), PATH)

    np.testing.assert_array_equal(found.constants["bias"], [0.5, 0.5])


def test_a_threshold_may_be_infinite_and_weights_may_not():
    limit = dict(CONSTANTS, bias=np.array(-np.inf, np.float32))

    assert read(segmenter(), limit).constants["bias"] == -np.inf
    with pytest.raises(ModelError, match="not finite"):
        read(segmenter(), dict(CONSTANTS, bias=np.array([0, np.inf], np.float32)))


def test_attributes_are_those_of_the_protobuf_json_mapping():
    graph = graph_message(segmenter(), CONSTANTS)
    attrs = next(node for node in graph.node if node.name == "conv").attr
    attrs["padding"].s = b"SAME"
    attrs["strides"].list.i.extend([1, 2, 2, 1])
    attrs["flag"].b = False
    attrs["_hint"].i = 3

    found = frozen_graph.read_bytes(graph.SerializeToString(), PATH).nodes["conv"].attrs

    assert found == {
        "padding": {"s": "U0FNRQ=="},
        "strides": {"list": {"i": ["1", "2", "2", "1"]}},
        "flag": {"b": False},
    }


@pytest.mark.parametrize("op", ["PyFunc", "WriteFile", "ReadFile"])
def test_an_op_that_reaches_beyond_the_graph_is_refused_by_name(op):
    with pytest.raises(ModelError, match=rf"{op} \(evil\)"):
        read([*segmenter(), ("evil", op, "image")])


def test_such_an_op_is_found_in_a_function_too():
    graph = graph_message(segmenter(), CONSTANTS)
    graph.library.function.add().node_def.add(name="evil", op="EagerPyFunc")

    with pytest.raises(ModelError, match="EagerPyFunc"):
        frozen_graph.read_bytes(graph.SerializeToString(), PATH)


def test_a_graph_with_variables_says_to_freeze_it():
    with pytest.raises(ModelError, match=r"variable 'w'.*freeze"):
        read([*segmenter(), ("w", "VariableV2")])


@pytest.mark.parametrize(
    "size",
    [2**40, -1, 3],
    ids=["huge", "negative", "other"],
)
def test_a_constant_whose_shape_does_not_fit_is_refused(size):
    graph = graph_message(segmenter(), CONSTANTS)
    tensor = next(node for node in graph.node if node.name == "bias").attr["value"].tensor
    tensor.tensor_shape.dim[0].size = size
    if size == 2**40:
        tensor.tensor_content = b""
    if size == 3:
        tensor.tensor_content += b"\0\0"

    with pytest.raises(ModelError, match=r"expected a frozen"):
        frozen_graph.read_bytes(graph.SerializeToString(), PATH)


def test_a_file_without_any_node_is_named():
    with pytest.raises(ModelError, match="found no node"):
        frozen_graph.read_bytes(b"", PATH)


@pytest.mark.assets
def test_a_damaged_real_graph_is_one_sentence_or_still_a_graph(assets, tmp_path):
    path = assets / "models" / "portrait_unet" / "frozen_inference_graph.pb"

    def read(path):
        graph = frozen_graph.read_bytes(frozen_graph.file_bytes(path), path)
        entry = graph_input.placeholder(graph, path)
        graph_input.shape(graph, entry, path=path, size_wh=(513, 513))

    found = faults(read, path.read_bytes(), tmp_path / "damaged.pb", count=40)

    assert len(found) > 20
    assert not [text for text in found if "\n" in text]


def test_a_saved_models_own_savers_are_made_to_do_nothing(models):
    path = models / "saved" / SAVED_MODEL
    model = message_class("SavedModel")()

    model.ParseFromString(disarmed_saved_model(path))

    ops = {
        node.op
        for meta in model.meta_graphs
        for nodes in (meta.graph_def.node, *(f.node_def for f in meta.graph_def.library.function))
        for node in nodes
    }
    assert b"SaveV2" in path.read_bytes()
    assert not ops & set(SAVERS)


def test_a_saved_model_with_an_unsafe_op_is_refused(models, tmp_path):
    model = message_class("SavedModel")()
    model.ParseFromString((models / "saved" / SAVED_MODEL).read_bytes())
    model.meta_graphs[0].graph_def.node.add(name="evil", op="WriteFile")
    (tmp_path / SAVED_MODEL).write_bytes(model.SerializeToString())

    with pytest.raises(ModelError, match=r"WriteFile \(evil\)"):
        import_draft(tmp_path, family="unet", choice=Choice())


def test_damaged_saved_models_are_one_sentence_each(models, tmp_path):
    data = (models / "saved" / SAVED_MODEL).read_bytes()

    found = faults(disarmed_saved_model, data, tmp_path / SAVED_MODEL)

    assert len(found) > 100
    assert not [text for text in found if "\n" in text]
