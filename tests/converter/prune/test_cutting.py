from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_nets import BLOCKS, SHAPE, Net, net_of, nets
from hypothesis import given, settings
from hypothesis import strategies as st
from litert_runs import run
from reference.masked_graph import masked

from converter.graph.values import Quantisation
from converter.graph.writing import write
from converter.prune.channels import channels
from converter.prune.cutting import pruned
from edge.errors import ModelError

# Nothing can be cut where the one op between the convolutions cannot be followed.
UNCUT = {"padded channels", "softmax"}


def halved(found, seed=0):
    """Return half of the channels of each group, drawn at random."""
    random = np.random.default_rng(seed)
    return {
        name: random.permutation(np.arange(len(group)) % 2 == 0)
        for name, group in found.groups.items()
    }


def outputs(graph, seed=0):
    image = np.random.default_rng(seed).normal(0, 1, SHAPE).astype(np.float32)
    return list(run(write(graph), image).values())


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_cut_graph_gives_what_the_whole_one_gives_without_reading_what_fell(name):
    found = channels(net_of(name))
    kept = halved(found)
    assert bool(kept) is (name not in UNCUT)
    small, zeroed = pruned(found, kept), masked(found, kept)
    for got, wanted in zip(outputs(small), outputs(zeroed), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    sizes = [sum(t.value.size for t in g.tensors.values() if t.value is not None)
             for g in (small, zeroed)]  # fmt: skip
    assert (sizes[0] < sizes[1]) is (name not in UNCUT)


@given(nets(), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_that_holds_for_any_blocks_behind_each_other(graph, seed):
    found = channels(graph)
    kept = halved(found, seed)
    for got, wanted in zip(outputs(pruned(found, kept)), outputs(masked(found, kept)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_what_falls_is_not_read_in_the_masked_graph():
    found = channels(net_of("residual"))
    whole, zeroed = outputs(found.graph), outputs(masked(found, halved(found)))
    assert not np.allclose(whole[0], zeroed[0], atol=1e-3)


def test_channels_that_are_added_fall_together():
    found = channels(net_of("residual"))
    assert [len(group.makers) for group in found.groups.values()] == [2]


def test_an_input_and_an_output_keep_their_channels():
    found = channels(net_of("plain"))
    assert [group.ids.size for group in found.groups.values()] == [16, 24]
    small = pruned(found, halved(found))
    assert small.shape("image") == SHAPE
    assert small.shape(small.outputs[0])[3] == 5


def test_groups_of_a_convolution_keep_as_many_channels_each():
    found = channels(net_of("grouped"))
    small = pruned(found, halved(found))
    (op,) = [
        op for op in small.ops if small.shape(op.inputs[0])[3] == 2 * small.shape(op.inputs[1])[3]
    ]
    assert small.shape(op.output)[3] == 16


def test_an_op_that_no_rule_knows_is_named_and_protects_what_it_reads():
    net = Net()
    found = channels(net.close(net.builder.unary("SIGN", net.relu(net.conv("image", 16)))))
    assert [op.kind for op in found.foreign] == ["SIGN"]
    assert not found.groups


def test_channels_that_hang_on_each_other_stand():
    found = channels(net_of("softmax"))
    assert not found.foreign
    assert not found.groups


def test_a_constant_that_two_ops_share_is_cut_for_each_as_it_needs():
    net = Net()
    b = net.builder
    shared = b.constant(net.numbers(16))
    one, two = (b.binary("MUL", net.conv("image", 16), shared) for _ in range(2))
    graph = net.close(b.concat([one, two], 3))
    found = channels(graph)
    names = list(found.groups)
    assert len(names) == 2
    first, second = np.arange(16) < 8, np.arange(16) >= 8
    kept = dict(zip(names, (first, second), strict=True))
    for got, wanted in zip(outputs(pruned(found, kept)), outputs(masked(found, kept)), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ({"nobody": np.ones(16, bool)}, "no such group"),
        ({"": np.ones(3, bool)}, "16 channels"),
        ({"": np.zeros(16, bool)}, "a channel that stays"),
    ],
    ids=["another group", "another size", "none left"],
)
def test_what_is_to_stay_must_fit(kept, sentence):
    found = channels(net_of("leaky"))
    (name,) = found.groups
    with pytest.raises(ValueError, match=sentence):
        pruned(found, {key or name: mask for key, mask in kept.items()})


def test_a_quantised_model_is_refused():
    graph = net_of("plain")
    name = graph.ops[0].output
    levels = Quantisation(np.ones(1, np.float32), np.zeros(1, np.int64))
    tensor = replace(graph.tensors[name], dtype="int8", quantisation=levels)
    with pytest.raises(ModelError, match="expected a float model to prune"):
        channels(replace(graph, tensors={**graph.tensors, name: tensor}))
