"""What holds of any graph: reading undoes writing, and edits keep what the model computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from graphs import SHAPE, constants, graphs
from hypothesis import given
from hypothesis import strategies as st

from converter.graph import edits
from converter.graph.folding import folded
from converter.graph.reading import read
from converter.graph.values import Graph, Op, Tensor
from converter.graph.writing import write
from edge.model.backends.litert import open_interpreter

PATH = Path("model.tflite")
IMAGE = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def results(graph):
    """Return the outputs in their order."""
    runtime = open_interpreter(write(graph), PATH, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], IMAGE)
    runtime.invoke()
    found = {row["name"]: runtime.get_tensor(row["index"]) for row in runtime.get_output_details()}
    return [found[name] for name in graph.outputs]


def assert_the_same(first, second):
    for before, after in zip(results(first), results(second), strict=True):
        np.testing.assert_array_equal(before, after)


def shown(graph):
    """Return all of a graph but the identities of its parts."""
    tensors = [
        (
            tensor.name,
            tensor.shape,
            tensor.dtype,
            None if tensor.value is None else tensor.value.tolist(),
        )
        for tensor in graph.tensors.values()
    ]
    ops = [(op.kind, op.inputs, op.outputs, op.version) for op in graph.ops]
    return tensors, ops, graph.inputs, graph.outputs


@given(graph=graphs())
def test_a_graph_is_read_as_it_was_written_and_written_as_it_was_read(graph):
    written = write(graph)

    assert shown(read(written, PATH)) == shown(graph)
    assert write(read(written, PATH)) == written


@given(stored=constants())
def test_a_constant_of_any_type_is_read_as_it_was_written(stored):
    tensors = {"image": Tensor("image", SHAPE), "out": Tensor("out", SHAPE), "stored": stored}
    graph = Graph(tensors, (Op("ADD", ("image", "stored"), ("out",)),), ("image",), ("out",))

    found = read(write(graph), PATH).tensors["stored"]

    assert (found.shape, found.dtype) == (stored.shape, stored.dtype)
    np.testing.assert_array_equal(found.value, stored.value)
    if stored.quantisation is not None:
        assert found.quantisation.axis == stored.quantisation.axis
        np.testing.assert_array_equal(found.numbers, stored.numbers)


@given(graph=graphs())
def test_tidying_drops_ops_and_keeps_the_results(graph):
    tidy = edits.tidied(graph)

    assert set(tidy.ops) <= set(graph.ops)
    assert edits.tidied(tidy).ops == tidy.ops
    assert_the_same(graph, tidy)


@given(graph=graphs(), data=st.data())
def test_renaming_keeps_the_results_even_where_the_names_are_taken(graph, data):
    computed = [op.output for op in graph.ops]
    moved = data.draw(st.sampled_from(computed))
    name = data.draw(st.sampled_from([*computed, "scores", "image"]))

    found = edits.renamed(graph, {moved: name})

    assert name in found.tensors
    assert len(found.tensors) == len(graph.tensors)
    assert_the_same(graph, found)


@given(graph=graphs(), data=st.data())
def test_what_is_inserted_is_read_by_all_that_read_what_was_before(graph, data):
    name = data.draw(st.sampled_from([op.output for op in graph.ops]))
    twice = [Op("NEG", (name,), ("minus",)), Op("NEG", ("minus",), ("again",))]
    tensors = [Tensor("minus", SHAPE), Tensor("again", SHAPE)]

    found = edits.insert_after(graph, name, twice, tensors=tensors)

    assert [op.kind for op in found.readers[name]] == ["NEG"]
    assert name not in found.outputs
    assert_the_same(graph, found)


@given(graph=graphs(), data=st.data())
def test_a_cut_gives_what_the_whole_gives_there(graph, data):
    name = data.draw(st.sampled_from([op.output for op in graph.ops]))

    part = edits.cut(graph, {"here": name})

    assert part.outputs == ("here",)
    assert_the_same(dataclasses.replace(graph, outputs=(name,)), part)


@given(graph=graphs())
def test_what_hangs_on_the_image_is_not_folded(graph):
    assert_the_same(graph, folded(graph))
    assert set(folded(graph).ops) == set(edits.tidied(graph).ops)
