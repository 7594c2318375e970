from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_nets import BLOCKS, SHAPE, net_of, nets
from float_tflite_models import MODELS, FloatModel
from hypothesis import given, settings
from litert_runs import run

from converter.graph.edits import with_values
from converter.graph.values import Graph, Op, Quantisation, Tensor
from converter.graph.writing import write
from converter.train.twin.building import build
from converter.train.twin.statistics import statistics
from edge.errors import ModelError

NEAR = 1e-4


def image_of(graph, batch=1, seed=0):
    shape = (batch, *graph.shape(graph.inputs[0])[1:])
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def outputs(graph, image):
    return run(write(graph), image)


def check_same(found, wanted):
    for name, value in wanted.items():
        scale = max(1, float(np.abs(value).max()))
        np.testing.assert_allclose(np.asarray(found[name]), value, atol=NEAR * scale)


def check(graph, *, with_moments):
    """Compare the twin with LiteRT, in both ways, and what comes back of it with the graph."""
    seen = (
        statistics(graph, [[image_of(graph, seed=n)] for n in range(3)]) if with_moments else None
    )
    twin = build(graph, statistics=seen)
    image = image_of(graph, seed=9)
    wanted = outputs(graph, image)
    check_same(twin.model(image, training=False), wanted)
    check_same(outputs(with_values(twin.graph, twin.weights()), image), wanted)
    return twin


@pytest.mark.parametrize("with_moments", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_twin_of_each_block_gives_what_the_graph_gives(name, with_moments):
    check(net_of(name), with_moments=with_moments)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_twin_of_each_op_gives_what_litert_gives(name):
    model = FloatModel()
    MODELS[name](model)
    check(model.named(), with_moments=False)


@given(nets())
@settings(max_examples=10, deadline=None)
def test_that_holds_for_any_blocks_behind_each_other(graph):
    check(graph, with_moments=True)


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_batch_gives_what_its_images_give_one_by_one(name):
    graph = net_of(name)
    model = build(graph).model
    images = image_of(graph, batch=3)
    (whole,) = model(images, training=False).values()
    rows = [next(iter(model(images[n : n + 1], training=False).values())) for n in range(3)]
    np.testing.assert_allclose(whole, np.concatenate(rows), atol=NEAR)


def test_a_normalisation_has_the_deviation_and_the_mean_of_what_the_op_makes():
    graph = net_of("plain")
    seen = statistics(graph, [[image_of(graph, seed=n)] for n in range(4)])
    twin = build(graph, statistics=seen)
    name = graph.ops[0].output
    norm = twin.layers[name].norm
    np.testing.assert_allclose(norm.gamma, np.sqrt(seen[name].variance), rtol=1e-2)
    np.testing.assert_allclose(norm.beta, seen[name].mean, rtol=1e-5)


def test_the_normalisation_of_an_op_that_learnt_nothing_starts_as_any_does():
    graph = net_of("plain")
    seen = statistics(graph, [[image_of(graph, seed=n)] for n in range(4)])
    name = graph.ops[0].output
    twin = build(graph, statistics={name: replace(seen[name], is_fresh=True)})
    np.testing.assert_array_equal(twin.layers[name].norm.gamma, 1)
    np.testing.assert_array_equal(twin.layers[name].norm.beta, 0)
    image = image_of(graph, seed=9)
    found = outputs(with_values(graph, twin.weights()), image)
    check_same(twin.model(image, training=False), found)


def test_what_is_trained_comes_back_into_the_same_graph():
    graph = net_of("residual", "prelu", "depthwise")
    seen = statistics(graph, [[image_of(graph, seed=n)] for n in range(4)])
    twin = build(graph, statistics=seen)
    for _ in range(3):  # the running statistics move along
        twin.model(image_of(graph, batch=4), training=True)
    for variable in twin.model.trainable_variables:
        variable.assign(variable * 1.1 + 0.01)
    image = image_of(graph, seed=9)
    found = outputs(with_values(graph, twin.weights()), image)
    check_same(twin.model(image, training=False), found)
    assert not np.allclose(next(iter(found.values())), next(iter(outputs(graph, image).values())))


def test_only_what_is_said_to_train_does():
    graph = net_of("plain")
    weights = graph.ops[0].inputs[1]
    twin = build(graph, trainable=lambda name: name == weights)
    assert [tuple(v.shape) for v in twin.model.trainable_variables] == [graph.shape(weights)]


def test_states_inside_are_told_by_the_names_of_the_graph():
    graph = net_of("residual", "leaky")
    names = [op.output for op in graph.ops[:3]]
    image = image_of(graph)
    wanted = outputs(replace(graph, outputs=tuple(names)), image)
    check_same(build(graph).tapped(names)(image), wanted)


def test_a_constant_that_two_ops_share_is_one_and_gets_no_normalisation():
    graph = net_of("plain")
    first, second = graph.ops[:2]
    bias = first.inputs[2]
    ops = (first, replace(first, outputs=("again",)), second, *graph.ops[2:])
    tensors = {**graph.tensors, "again": replace(graph.tensors[first.output], name="again")}
    graph = replace(graph, ops=ops, tensors=tensors, outputs=(*graph.outputs, "again"))
    seen = statistics(graph, [[image_of(graph)]])
    twin = build(graph, statistics=seen)
    assert twin.layers["again"].norm is None
    twin.layers["again"].bias.assign(np.ones(16))
    np.testing.assert_allclose(twin.weights()[bias], 1)
    image = image_of(graph)
    check_same(twin.model(image), outputs(with_values(graph, twin.weights()), image))


def test_an_op_that_is_not_known_is_named_with_what_it_makes_and_with_those_known():
    tensors = {"image": Tensor("image", SHAPE), "made": Tensor("made", SHAPE)}
    graph = Graph(tensors, (Op("CUMSUM", ("image",), ("made",)),), ("image",), ("made",))
    with pytest.raises(ModelError, match=r"found CUMSUM for 'made'; it knows ABS, .*CONV_2D"):
        build(graph)


def test_a_quantised_model_is_refused():
    graph = net_of("plain")
    name = graph.ops[0].output
    levels = Quantisation(np.ones(1, np.float32), np.zeros(1, np.int64))
    tensor = replace(graph.tensors[name], dtype="int8", quantisation=levels)
    with pytest.raises(ModelError, match="expected a float32 model to train, found"):
        build(replace(graph, tensors={**graph.tensors, name: tensor}))
