"""The same net at another input gives what the net would give that was built for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_nets import BLOCKS, SHAPE, net_of
from factories import input_transform, manifest
from reference import bright_net

from converter.graph.building import Builder
from converter.graph.writing import write
from converter.prune.resizing import resized, with_input
from converter.quantize.running import tapped
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.model_file import ModelFile, read_own

PATH = Path("net")
LARGE = (1, 16, 12, 3)
# Their weights, or what they add up, are of one size.
FIXED = {"flat", "turned", "resized"}


def outputs(graph, shape):
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    return next(iter(tapped(graph, graph.outputs, [[image]])))


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_its_own_size_changes_nothing(name):
    net = net_of(name)
    again = resized(net, (SHAPE[2], SHAPE[1]), path=PATH)
    for one, other in zip(outputs(net, SHAPE), outputs(again, SHAPE), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - FIXED))
def test_at_twice_the_size_it_is_the_net_that_was_built_there(name):
    found = resized(net_of(name), (LARGE[2], LARGE[1]), path=PATH)
    wanted = net_of(name, shape=LARGE)
    for one, other in zip(outputs(wanted, LARGE), outputs(found, LARGE), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_maps_in_another_order_follow():
    found = resized(net_of("turned"), (LARGE[2], LARGE[1]), path=PATH)
    assert outputs(found, LARGE)[0].shape[1:3] == LARGE[1:3]


def test_an_upsampling_goes_to_what_its_size_became_elsewhere():
    b = Builder({"image": (1, 10, 10, 4)})
    half = b.add("MAX_POOL_2D", ["image"], (1, 5, 5, 4), padding="SAME", strideH=2, strideW=2,
                 filterHeight=2, filterWidth=2)  # fmt: skip
    graph = b.graph([b.binary("ADD", b.resize("RESIZE_BILINEAR", half, (10, 10)), "image")])
    # 7 in half is 4, and no whole number of times 4 is 7.
    found = resized(graph, (7, 7), path=PATH)
    assert outputs(found, (1, 7, 7, 4))[0].shape == (1, 7, 7, 4)


def test_a_layer_that_reads_every_place_is_named():
    with pytest.raises(ModelError, match=r"FULLY_CONNECTED for .* keep its own input size"):
        resized(net_of("flat"), (LARGE[2], LARGE[1]), path=PATH)


def test_a_detector_has_anchors_on_its_new_cells_and_still_loads():
    small = with_input(bright_net.model_file(), (64, 48))
    anchors = small.description.anchors
    assert anchors.shape == (8 * 6, 4)
    np.testing.assert_allclose(anchors[0], (1 / 12, 1 / 16, 1 / 6, 1 / 8))
    assert load_model(small).spec.description.input.size_wh == (64, 48)
    assert small.own_manifest().provenance.steps[-1] == "input 64x48 instead of 32x32"


def test_cells_are_whole_and_a_quantised_model_is_refused():
    described = manifest(
        input=input_transform(size_wh=(6, 8)), outputs={"classes": "classes"},
        head=SegmentationHead(activation="softmax"), labels=("a", "b"),
    )  # fmt: skip
    flatbuffer = write(net_of("strided"))
    with pytest.raises(ModelError, match=r"whole cells of 2 pixels.*near are 8 and 10"):
        with_input(ModelFile.of(PATH, flatbuffer, described, anchors=None), (9, 8))
    with pytest.raises(ModelError, match="quantised"):
        with_input(read_own(default_model_path()), (256, 256))
