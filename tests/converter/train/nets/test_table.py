"""Each net of the table is described as the board wants it, runs, quantises and prunes."""

from pathlib import Path

import numpy as np
import pytest

from converter.choice import InputChoice, Origin
from converter.graph.reading import read
from converter.importers import facts
from converter.prune.channels import channels
from converter.train.nets.layers import Layers, convolutions, multiple
from converter.train.nets.mobilenet import mobilenet_v2, trained
from converter.train.nets.table import NETS
from converter.train.nets.wish import Wish
from edge.errors import ConfigError
from edge.model.loaded import load_model

SIDES = {"unet-valid": 100, "ssd300": 300}
LABELS = {
    "boxes": ("a", "b", "c"),
    "classes": ("a", "b", "c"),
    "masks": ("not", "it"),
    "images": (),
}
SIZES_WH = tuple((0.05 * n, 0.06 * n) for n in range(1, 25))


def wish(name, *, side=None, width=0.25, **given):
    net = NETS[name]
    side = side or SIDES.get(name, 128)
    anchors = SIZES_WH[: net.anchors] or None
    asked = {"anchors_wh": anchors, "half": net.half, "width": width} | given
    return Wish(LABELS[net.needs], (side, side), **asked)


def file_of(name, **given):
    draft = NETS[name].make(wish(name, **given))
    origin = Origin(name=name)
    return facts.complete(draft, Path(name), family=None, origin=origin, choice=InputChoice())


@pytest.mark.parametrize("name", NETS)
def test_each_net_runs_as_its_manifest_says(name):
    file = file_of(name)
    model = load_model(file)  # compares head, labels and anchors with the outputs
    result = model(np.zeros((90, 120, 3), np.uint8))
    assert result is not None
    assert file.description.labels == LABELS[NETS[name].needs]


@pytest.mark.parametrize("name", NETS)
def test_the_pruner_follows_each_net_whole(name):
    file = file_of(name)
    found = channels(read(file.flatbuffer, file.path))
    assert not found.foreign
    assert found.groups


def test_ssd300_has_the_papers_8732_anchors():
    draft = NETS["ssd300"].make(wish("ssd300", anchors_wh=None))
    assert draft.graph.shape("boxes") == (1, 8732, 4)
    assert draft.anchors.shape == (8732, 4)


def test_unet_valid_is_the_papers_572_pixels_inside():
    graph = NETS["unet-valid"].make(wish("unet-valid", side=388, width=0.1)).graph
    (padded,) = (op.output for op in graph.ops if op.kind == "MIRROR_PAD")
    assert graph.shape(padded)[1:3] == (572, 572)
    assert graph.shape("classes")[1:3] == (388, 388)


def test_unet_mobilenet_makes_its_map_large_last():
    graph = NETS["unet-mobilenet"].make(wish("unet-mobilenet", side=64)).graph
    assert graph.producers["classes"].kind == "RESIZE_BILINEAR"
    assert graph.shape("classes")[1:3] == (64, 64)


@pytest.mark.parametrize(
    ("name", "side"),
    [("unet-valid", 387), ("unet", 100), ("unet-mobilenet", 80), ("autoencoder", 100)],
)
def test_a_side_that_does_not_fit_is_refused_with_one_that_does(name, side):
    with pytest.raises(ConfigError, match=f"found .*{side}"):
        NETS[name].make(wish(name, side=side))


def test_a_whole_mobilenet_starts_with_all_weights_of_the_shipped_model():
    net = Layers((64, 64), seed=0, trained=trained())
    taps = mobilenet_v2(net, "image")
    assert net.taken == 52  # its convolutions: 1 + 2 + 16 * 3 + 1
    made = convolutions(net.graph({"end": taps[32]}))
    for (found, _), (wanted, _) in zip(made, trained(), strict=False):
        np.testing.assert_array_equal(found, wanted)


def test_grids_that_no_anchor_needs_are_left_out():
    small = NETS["ssd-mobilenet"].make(wish("ssd-mobilenet", anchors_wh=((0.1, 0.1),) * 6))
    assert small.anchors.shape == (16 * 16 * 6, 4)
    paper = NETS["ssd-mobilenet"].make(wish("ssd-mobilenet", side=300, anchors_wh=None))
    assert paper.anchors.shape == (1917, 4)  # as the shipped model has them


def test_channels_are_multiples_of_8_and_not_much_fewer_than_asked_for():
    assert [multiple(one) for one in (3, 32, 35, 36, 44.8)] == [8, 32, 32, 40, 48]
