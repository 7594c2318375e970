import numpy as np
from drawn_nets import SHAPE, net_of

from converter.graph.edits import with_values
from converter.prune.channels import channels
from converter.prune.cutting import pruned
from converter.prune.healing import healed
from converter.prune.searching import Teacher
from converter.quantize.repairs.weights import convolutions


def images(seed, count=24):
    random = np.random.default_rng(seed)
    return [[random.normal(0, 1, SHAPE).astype(np.float32)] for _ in range(count)]


def error_of(whole, graph):
    return Teacher(whole, images(1, 4)).error_of(graph)


def test_a_channel_that_another_one_repeats_is_made_up_for():
    graph = net_of("depthwise", "leaky")
    first = next(convolutions(graph))
    weights, bias = first.weights.copy(), first.bias.copy()
    weights[8:], bias[8:] = weights[:8], bias[:8]
    graph = with_values(graph, first.values(weights=weights, bias=bias))
    depth = next(layer for layer in convolutions(graph) if layer.is_depthwise)
    weights, bias = depth.weights.copy(), depth.bias.copy()
    weights[..., 8:], bias[8:] = weights[..., :8], bias[:8]
    whole = channels(with_values(graph, depth.values(weights=weights, bias=bias)))
    (name,) = whole.groups
    kept = {name: np.arange(16) < 8}
    cut = pruned(whole, kept)
    made = healed(whole, kept, cut, inputs=images(0))
    assert error_of(whole.graph, cut) > 0.1
    assert error_of(whole.graph, made) < 1e-3


def test_images_that_were_not_fitted_to_gain_on_every_kind_of_layer():
    whole = channels(net_of("residual", "depthwise", "plain", seed=3))
    kept = {name: np.arange(len(group)) % 4 > 0 for name, group in whole.groups.items()}
    cut = pruned(whole, kept)
    made = healed(whole, kept, cut, inputs=images(0))
    assert error_of(whole.graph, made) < 0.8 * error_of(whole.graph, cut)


def test_what_nothing_was_cut_before_stays_bit_for_bit():
    whole = channels(net_of("plain", "plain"))
    *_, last = whole.groups
    kept = {last: np.arange(len(whole.groups[last])) > 7}
    made = healed(whole, kept, pruned(whole, kept), inputs=images(0, 4))
    before = next(convolutions(whole.graph))
    after = next(convolutions(made))
    np.testing.assert_array_equal(before.weights, after.weights)
