"""Dead and weak filters are found where they were planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import bright_net

from converter.deliver.report.features import choose_layers, low_channels, observe_features


@pytest.fixture(scope="module")
def layers(bright_images):
    return observe_features(bright_net.model_file(), bright_images[:4])


def test_the_planted_dead_filters_are_found_and_no_other(layers):
    stem = layers[0]

    assert stem.name == "stem"
    assert stem.dead == (bright_net.ZERO_CHANNEL, bright_net.CUT_CHANNEL)
    assert stem.weak == (bright_net.ZERO_CHANNEL,), "the other's weights are as large as any"


def test_layers_come_in_the_order_in_which_they_run_with_their_filters(layers):
    assert [layer.name for layer in layers] == ["stem", "raw_scores", "raw_boxes"]
    assert [layer.kernels.shape for layer in layers] == [(8, 8, 8, 3), (3, 1, 1, 8), (4, 1, 1, 8)]
    assert layers[0].maps.shape == (4, 4, 8)
    assert layers[0].norms[0] == pytest.approx(1 / np.sqrt(8 * 8 * 3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0], ()),
        ([1.0, 0.001, 0.0011], (1,)),
        ([0.0, 0.0, 0.0], (0, 1, 2)),
        ([0.0, 0.0, 0.0, 5.0], (0, 1, 2)),
    ],
    ids=["all alive", "a thousandth of the median", "all dead", "most dead"],
)
def test_a_low_channel_is_low_beside_the_others(values, expected):
    ratio = 0.001 * (1 if len(values) != 3 else 1 / np.median(values)) if any(values) else 0.001

    assert low_channels(np.array(values), ratio=ratio) == expected


def test_the_first_layer_and_those_with_most_dead_channels_are_chosen(layers):
    many = [replace(layers[1], name=str(number), spans=np.ones(3)) for number in range(20)]
    many[7] = replace(many[7], spans=np.array([0.0, 0.0, 1.0]))
    many[9] = replace(many[9], spans=np.zeros(3))

    chosen = [layer.name for layer in choose_layers(many, count=4)]

    assert len(chosen) == 4
    assert {"0", "7", "9"} <= set(chosen)
    assert [layer.name for layer in choose_layers(layers, count=4)] == [
        "stem", "raw_scores", "raw_boxes",
    ]  # fmt: skip
