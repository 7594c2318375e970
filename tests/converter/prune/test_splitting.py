"""A layer of two thinner ones gives what the whole one gave, and takes less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_nets import SHAPE, Net
from factories import input_transform, manifest

from converter.graph.edits import with_values
from converter.graph.writing import write
from converter.prune.choosing import RANK
from converter.prune.levers import Levers
from converter.prune.measures import Macs, Target, macs
from converter.prune.searching import Ladder, Teacher
from converter.prune.splitting import SplitCosts, components, finer
from converter.quantize.repairs.weights import convolutions
from converter.quantize.running import tapped
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model.model_file import ModelFile

RANK_LEFT = 8


def images(seed, count=24):
    random = np.random.default_rng(seed)
    return [[random.normal(0, 1, SHAPE).astype(np.float32)] for _ in range(count)]


def low_rank_net():
    """Return a net whose second layer makes 32 channels of 8 dimensions, and that layer's name."""
    net = Net()
    graph = net.close(net.relu(net.conv(net.relu(net.conv("image", 16)), 32)))
    _, second, _ = convolutions(graph)
    mix = net.numbers(32, RANK_LEFT)
    weights = np.einsum("or,rhwi->ohwi", mix, net.numbers(RANK_LEFT, 3, 3, 16))
    return with_values(graph, second.values(weights=weights)), second.name


@pytest.mark.parametrize("rank", [RANK_LEFT, 16])
def test_of_a_layer_that_has_no_more_dimensions_nothing_is_lost(rank):
    graph, name = low_rank_net()
    part = components(graph, images(0))[name]
    made = part.split(graph, rank)
    assert Teacher(graph, images(1)).error_of(made) < 1e-8
    assert sum(macs(made).values()) < sum(macs(graph).values())
    thinner = made.producers[f"{name}/low"]
    assert thinner.activation == "NONE"
    assert made.shape(thinner.output)[3] == rank


def test_coordinates_vary_alike_so_that_one_int8_scale_fits_them():
    graph, name = low_rank_net()
    made = components(graph, images(0))[name].split(graph, RANK_LEFT)
    low = replace(made, outputs=(f"{name}/low",))
    rows = [row.reshape(-1, RANK_LEFT) for (row,) in tapped(low, low.outputs, images(1))]
    values = np.concatenate(rows)
    assert values.std(axis=0) == pytest.approx(np.ones(RANK_LEFT), abs=0.3)


def test_what_costs_say_is_left_is_what_the_split_graph_has():
    graph, name = low_rank_net()
    parts = components(graph, images(0))
    costs = SplitCosts(parts, macs(graph))
    ratios = [RANK_LEFT / 32 if each == name else 1.0 for each in parts]
    found = sum(macs(parts[name].split(graph, RANK_LEFT)).values())
    assert costs.left(ratios) == pytest.approx(found)


def test_a_ladder_is_made_finer_between_its_steps():
    steps = [np.arange(64) < rank for rank in (64, 48, 16)]
    made = finer(Ladder(tuple(steps), (0.0, 0.1, 0.5)))
    assert [int(mask.sum()) for mask in made.kept] == [64, 48, 40, 32, 24, 16]
    assert made.errors == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4, 0.5))


@pytest.fixture
def photos(tmp_path):
    """Return twenty images, twice as wide as high."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths:
        cv2.imwrite(str(path), random.integers(0, 256, (24, 48, 3), np.uint8))
    return paths


def model(graph, size_wh, resize):
    described = manifest(
        input=input_transform(size_wh=size_wh, resize=resize), labels=tuple("abcde"),
        outputs={"classes": graph.outputs[0]}, head=SegmentationHead(activation="softmax"),
    )  # fmt: skip
    return ModelFile.of(Path("net.tflite"), write(graph), described, anchors=None)


def test_the_lever_reaches_what_is_asked_and_else_says_the_best(photos):
    graph, name = low_rank_net()
    levers = Levers(model(graph, (SHAPE[2], SHAPE[1]), "stretch"), photos)
    done, _ = levers.pull(Target(macs=0.8), lever=RANK)
    assert done.gain >= 1.25 * 0.97
    assert done.gain == pytest.approx(Macs(levers.file).gain(done.file))
    assert name in {key for key, _, _ in done.rows}
    assert "of lower rank, by principal components on 15 images" in done.step
    with pytest.raises(
        ModelError, match=r"in reach of layers of lower rank, found \d\.\d+ at most"
    ):
        levers.pull(Target(macs=0.05), lever=RANK)


@pytest.mark.parametrize(
    ("resize", "size_wh"), [("letterbox", (64, 32)), ("stretch", (49, 49))],
)  # fmt: skip
def test_a_picture_with_bars_may_have_an_input_of_the_shape_of_the_images(photos, resize, size_wh):
    net = Net(shape=(1, 64, 64, 3))
    levers = Levers(model(net.close(net.relu(net.conv("image", 16))), (64, 64), resize), photos)
    done, _ = levers.pull(Target(macs=0.6), lever="input")
    assert done.file.description.input.size_wh == size_wh


@pytest.mark.parametrize(("nearer_in", "side"), [(0.99, 33), (0.9, 49)])
def test_an_input_is_taken_before_a_larger_one_that_is_fast_enough_where_it_is_surely_nearer(
    photos, monkeypatch, nearer_in, side
):
    net = Net(shape=(1, 64, 64, 3))
    levers = Levers(model(net.close(net.relu(net.conv("image", 16))), (64, 64), "stretch"), photos)
    looked_at = []

    def lost(_, file):
        looked_at.append(file.description.input.size_wh[0])
        nearer = np.arange(100) < 100 * nearer_in
        draws = np.where(nearer, 0.1, 0.3) if looked_at[-1] == 33 else np.full(100, 0.2)
        return np.array([draws.mean(), *draws])

    monkeypatch.setattr(Levers, "_lost", lost)
    done, _ = levers.pull(Target(macs=0.6), lever="input")
    assert looked_at == [49, 48, 33, 32, 17]  # none larger is as fast, none further is looked at
    assert done.file.description.input.size_wh == (side, side)
    assert done.gain == pytest.approx(64**2 / side**2)
    assert done.step.endswith(f"{done.gain:.2f} times fewer multiplications")
