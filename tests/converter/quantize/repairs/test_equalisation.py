"""An equalised model is the same function, and its channels are more alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import tiny_net

from calibration.observe import TappedModel
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.repairs.equalisation import equalise
from converter.quantize.repairs.weights import convolutions


def uneven(net):
    """Return the net with channels of `stem` and `deep` that differ by up to a thousand."""
    graph = read(net, Path("net.tflite"))
    (stem,) = (layer for layer in convolutions(graph) if layer.name == "stem")
    spread = np.logspace(-3, 0, len(stem.bias))
    weights = stem.weights * spread[:, None, None, None]
    return with_values(graph, stem.values(weights=weights, bias=stem.bias * spread))


def run(net):
    model = TappedModel(write(net), tiny_net.TRANSFORM)
    return [dict(model.run(image)) for image in tiny_net.images()]


def peaks_of(net):
    taps = run(net)
    return {
        name: np.max([np.abs(tap[name]).reshape(-1, tap[name].shape[-1]).max(0) for tap in taps], 0)
        for name in taps[0]
    }


@pytest.mark.parametrize("activation", ["LEAKY_RELU", "RELU", "RELU6"])
def test_the_outputs_stay_what_they_were(activation):
    net = uneven(tiny_net.build(activation))

    equal = equalise(net, peaks_of(net))

    for before, after in zip(run(net), run(equal), strict=True):
        for name in tiny_net.OUTPUTS:
            scale = np.abs(before[name]).max()
            np.testing.assert_allclose(after[name], before[name], atol=1e-4 * scale)


@pytest.mark.parametrize("activation", ["LEAKY_RELU", "RELU"])
def test_channels_come_nearer_to_the_widest_where_a_factor_passes(activation):
    net = uneven(tiny_net.build(activation))

    equal = peaks_of(equalise(net, peaks_of(net)))

    before, after = peaks_of(net)["stem"], equal["stem"]
    assert after.max() / after.min() < before.max() / before.min() / 10


def test_a_channel_behind_a_relu6_keeps_its_values():
    net = uneven(tiny_net.build("RELU6"))

    equal = equalise(net, peaks_of(net))

    np.testing.assert_allclose(peaks_of(equal)["active"], peaks_of(net)["active"], rtol=1e-5)


def test_equalising_twice_the_same_gives_the_same_bytes():
    net = uneven(tiny_net.build())
    peaks = peaks_of(net)

    assert write(equalise(net, peaks)) == write(equalise(net, peaks))


def test_a_silent_channel_gets_no_factor_beyond_the_bound():
    net = read(tiny_net.build(), Path("net.tflite"))
    peaks = peaks_of(net)
    peaks["stem"][0] = peaks["active"][0] = 0.0
    peaks["joined"][0] = 0.0

    outputs = run(equalise(net, peaks))

    assert all(np.isfinite(tap["boxes"]).all() for tap in outputs)


def padded_net(pads):
    """Return a convolution, a PAD and another convolution."""
    net = tiny_net.Net()
    image = net.tensor("image", (1, tiny_net.SIDE, tiny_net.SIDE, 3))
    shape = (1, tiny_net.SIDE, tiny_net.SIDE, tiny_net.CHANNELS)
    stem = net.conv(image, "stem", shape, kernel=(tiny_net.CHANNELS, 3, 3, 3))
    wide = tuple(side + before + after for side, (before, after) in zip(shape, pads, strict=True))
    padded = net.tensor("padded", wide)
    net.op("PAD", [stem, net.constant("pads", np.array(pads, np.int32))], padded, None)
    boxes = net.conv(padded, "boxes", (*wide[:3], 4), kernel=(4, 1, 1, wide[3]))
    return net.finish(image, {"boxes": boxes})


@pytest.mark.parametrize(
    ("pads", "passes"),
    [([[0, 0], [0, 1], [0, 1], [0, 0]], True), ([[0, 0], [0, 0], [0, 0], [0, 2]], False)],
    ids=["rows and columns", "channels"],
)
def test_a_factor_passes_a_padding_that_adds_no_channels(pads, passes):
    net = uneven(padded_net(pads))

    equal = equalise(net, peaks_of(net))

    before, after = peaks_of(net)["stem"], peaks_of(equal)["stem"]
    narrowed = after.max() / after.min() < before.max() / before.min() / 10
    assert narrowed == passes
    for wanted, found in zip(run(net), run(equal), strict=True):
        np.testing.assert_allclose(found["boxes"], wanted["boxes"], rtol=1e-3, atol=1e-4)
