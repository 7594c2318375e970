"""A graph that is read, changed and written: the same function, the same bytes."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from float_tflite_models import FloatModel
from litert_runs import run

from converter.graph import edits
from converter.graph.reading import read
from converter.graph.values import Op, Tensor
from converter.graph.writing import options_table, write
from edge.errors import ModelError
from edge.model import model_file
from edge.model.default import default_model_path

PATH = Path("model.tflite")


@pytest.fixture
def flatbuffer():
    model = FloatModel()
    model.then(
        "CONV_2D", (model.last, model.weights(8, 3, 3, 4), model.weights(8)), (1, 9, 8, 8),
        padding="SAME", strideW=1, strideH=1, dilationWFactor=1, dilationHFactor=1,
        fusedActivationFunction="RELU6",
    )  # fmt: skip
    model.then("LOGISTIC", (model.last,), (1, 9, 8, 8))
    return model.packed([model.first], [model.last])


@pytest.fixture
def image():
    return np.random.default_rng(1).normal(size=(1, 9, 8, 4)).astype(np.float32)


def test_what_is_read_and_written_computes_the_same(flatbuffer, image):
    again = write(read(flatbuffer, PATH))

    (before,), (after,) = run(flatbuffer, image).values(), run(again, image).values()
    np.testing.assert_array_equal(before, after)
    assert write(read(again, PATH)) == again


def test_options_are_the_schemas_with_words_for_enums(flatbuffer):
    convolution, logistic = read(flatbuffer, PATH).ops

    assert (convolution.kind, convolution.options["padding"]) == ("CONV_2D", "SAME")
    assert (convolution.options["strideH"], convolution.activation) == (1, "RELU6")
    assert logistic.activation == "NONE"


def test_a_cut_names_its_ends_and_drops_the_rest(flatbuffer, image):
    graph = read(flatbuffer, PATH)
    middle = graph.ops[0].output

    part = edits.cut(graph, {"scores": middle}, inputs={"picture": graph.inputs[0]})

    assert (part.inputs, part.outputs, len(part.ops)) == (("picture",), ("scores",), 1)
    assert len(part.tensors) == 4
    assert list(run(write(part), image)) == ["scores"]


def test_a_cut_below_what_its_outputs_need_is_refused(flatbuffer):
    graph = read(flatbuffer, PATH)
    first, second = (op.output for op in graph.ops)

    with pytest.raises(ValueError, match="hang on"):
        edits.cut(graph, {"a": first}, inputs={"b": second})


def test_a_name_that_is_taken_is_given_up_by_who_bears_it(flatbuffer):
    graph = read(flatbuffer, PATH)
    first, last = (op.output for op in graph.ops)

    found = edits.renamed(graph, {last: first})

    assert found.outputs == (first,)
    assert found.ops[0].output == f"{first}_inside"


def test_an_op_is_replaced_and_another_follows_it(flatbuffer, image):
    graph = read(flatbuffer, PATH)
    logistic = graph.ops[1]
    tanh = Op("TANH", logistic.inputs, ("between",))
    minus = Op("NEG", ("between",), logistic.outputs)
    between = Tensor("between", graph.shape(logistic.output))

    found = edits.with_ops(graph, {logistic: (tanh, minus)}, tensors=[between])

    (sigmoid,), (other,) = (
        run(write(graph), image).values(),
        run(write(found), image).values(),
    )
    raw = np.log(sigmoid) - np.log1p(-sigmoid)
    np.testing.assert_allclose(other, -np.tanh(raw), atol=1e-5)


def test_values_of_constants_are_replaced_in_the_copy_only(flatbuffer):
    graph = read(flatbuffer, PATH)
    name = graph.ops[0].inputs[2]

    found = edits.with_values(graph, {name: np.zeros(8, np.float32)})

    assert not found.value(name).any()
    assert graph.value(name).any()


def test_a_constant_that_two_tensors_share_is_stored_once(flatbuffer):
    graph = read(flatbuffer, PATH)
    bias = graph.tensors[graph.ops[0].inputs[2]]
    small = len(write(graph))

    twice = Tensor("again", bias.shape, value=bias.value)
    add = Op("ADD", (graph.outputs[0], "again"), ("sum",))
    found = edits.with_ops(
        graph, {graph.ops[1]: (graph.ops[1], add)},
        tensors=[twice, Tensor("sum", graph.shape(graph.outputs[0]))],
    )  # fmt: skip
    assert read(write(found), PATH).value("again").tolist() == bias.value.tolist()
    assert len(write(found)) < small + bias.value.nbytes + 400


def test_an_op_before_what_it_reads_is_a_mistake_of_ours(flatbuffer):
    graph = read(flatbuffer, PATH)

    with pytest.raises(ValueError, match="no op made before"):
        write(type(graph)(graph.tensors, graph.ops[::-1], graph.inputs, graph.outputs))


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("CONV_2D", "Conv2DOptions"), ("MAX_POOL_2D", "Pool2DOptions"), ("ADD", "AddOptions"),
        ("LEAKY_RELU", "LeakyReluOptions"), ("TRANSPOSE_CONV", "TransposeConvOptions"),
    ],
)  # fmt: skip
def test_a_kinds_options_have_the_schemas_table(kind, table):
    assert options_table(kind) == table


def test_damage_is_named(flatbuffer):
    with pytest.raises(ModelError, match=r"model\.tflite"):
        read(flatbuffer[: len(flatbuffer) // 2], PATH)


def test_weights_that_stand_behind_the_tables_are_found_by_their_place_and_written_inside():
    shipped = model_file.read(default_model_path())

    graph = read(shipped.flatbuffer, PATH)
    kernel = graph.tensors[graph.ops[0].inputs[1]]
    written = write(graph)

    assert kernel.value.shape == kernel.shape
    np.testing.assert_array_equal(read(written, PATH).value(kernel.name), kernel.value)
    raw = schema.Model.GetRootAs(written, 0)
    buffers = [raw.Buffers(number) for number in range(raw.BuffersLength())]
    assert not any(buffer.Offset() for buffer in buffers)
    with pytest.raises(ModelError, match="damaged"):
        read(shipped.flatbuffer[:-1000], PATH)


def test_weights_are_aligned_as_the_schema_asks(flatbuffer):
    written = write(read(flatbuffer, PATH))

    base = np.frombuffer(written, np.uint8).__array_interface__["data"][0]
    raw = schema.Model.GetRootAs(written, 0)
    for number in range(1, raw.BuffersLength()):
        data = raw.Buffers(number).DataAsNumpy()
        assert (data.__array_interface__["data"][0] - base) % 16 == 0


def rewritten(flatbuffer, change):
    """Return a model after a change to the schema's own tree of it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_op_codes_of_old_writers_are_spelt_as_new_ones(flatbuffer):
    def age(model):
        for code in model.operatorCodes:
            code.builtinCode = 0

    graph = read(rewritten(flatbuffer, age), PATH)

    assert [op.kind for op in graph.ops] == ["CONV_2D", "LOGISTIC"]
    assert write(graph) == write(read(flatbuffer, PATH))


def test_names_that_two_tensors_bear_are_told_apart_and_the_ends_keep_theirs(flatbuffer):
    def confuse(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = b"same"

    graph = read(rewritten(flatbuffer, confuse), PATH)

    assert len(graph.tensors) == 5
    assert graph.inputs == ("same",)


def test_ends_bear_the_names_of_the_signature_where_they_are_asked_for(flatbuffer):
    def rename(model):
        model.signatureDefs[0].outputs[0].name = "scores"

    found = rewritten(write(read(flatbuffer, PATH)), rename)

    assert read(found, PATH, is_signed=True).outputs == ("scores",)
    assert read(found, PATH).outputs != ("scores",)


def test_a_tensor_that_keeps_its_values_stays_one(flatbuffer):
    def keep(model):
        model.subgraphs[0].tensors[0].isVariable = True

    graph = read(rewritten(flatbuffer, keep), PATH)

    assert [tensor.is_variable for tensor in read(write(graph), PATH).tensors.values()].count(
        1
    ) == 1


def test_sparse_weights_are_named(flatbuffer):
    def thin(model):
        model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()

    with pytest.raises(ModelError, match=r"stored as sparse.*export the model without"):
        read(rewritten(flatbuffer, thin), PATH)
