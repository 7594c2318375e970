"""A family is told by structure alone, or not told; each finder cuts before what only shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converter.choice import Choice
from converter.graph.foreign import read_foreign
from converter.graph.values import Graph, Op, Tensor
from converter.importers.heads.finder import family_of, find
from edge.decode.anomaly import MAX_ERROR, AnomalyHead
from edge.decode.classes import ClassesHead
from edge.errors import ConfigError, ModelError

pytestmark = pytest.mark.converter
PATH = Path("model.tflite")


class Net:
    """Ops one behind the other on an image of 64 x 64."""

    def __init__(self, shape=(1, 64, 64, 3)):
        self.tensors = {"image": Tensor("image", shape)}
        self.ops = []

    def op(self, kind, source, shape, *constants, name=None):
        name = name or f"{kind}_{len(self.ops)}"
        names = [f"{name}/{number}" for number in range(len(constants))]
        for constant, value in zip(names, map(np.asarray, constants), strict=True):
            self.tensors[constant] = Tensor(constant, value.shape, value.dtype.name, value)
        self.tensors[name] = Tensor(name, shape)
        sources = source if isinstance(source, tuple) else (source,)
        self.ops.append(Op(kind, (*sources, *names), (name,)))
        return name

    def conv(self, side, channels, *, source="image", name=None):
        inside = self.tensors[source].shape[3]
        weights = np.ones((channels, 1, 1, inside), np.float32)
        shape = (1, side, side, channels)
        return self.op("CONV_2D", source, shape, weights, np.zeros(channels, np.float32), name=name)

    def graph(self, *outputs):
        return Graph(self.tensors, tuple(self.ops), ("image",), outputs)


def classifier(activation, **options):
    net = Net()
    mean = net.op("MEAN", net.conv(8, 16), (1, 16), np.int32([1, 2]))
    weights = np.ones((10, 16), np.float32)
    raw = net.op("FULLY_CONNECTED", mean, (1, 10), weights, name="raw")
    made = net.graph(net.op(activation, raw, (1, 10)) if activation else raw)
    *ops, last = made.ops
    return replace(made, ops=(*ops, replace(last, options=options)))


def same_size(*, channels=3, narrow=True, around=False, last="LOGISTIC"):
    """A net whose output has its image's shape, through fewer numbers or not, and a way around."""
    net = Net((1, 64, 64, channels))
    wide = net.conv(64, 16)
    inside = net.conv(8, 8, source=wide) if narrow else wide
    up = net.op("TRANSPOSE_CONV", inside, (1, 64, 64, 16), np.ones((16, 8, 8, 8), np.float32))
    if around:
        up = net.op("CONCATENATION", (up, wide), (1, 64, 64, 32))
    raw = net.conv(64, channels, source=up)
    return net.graph(net.op(last, raw, (1, 64, 64, channels)) if last else raw)


def segmenter(*tail):
    net = Net()
    last = net.conv(64, 4, name="raw")
    for kind in tail:
        last = net.op(kind, last, (1, 64, 64) if kind == "ARG_MAX" else (1, 64, 64, 4))
    return net.graph(last)


def coarse_map(channels=21, tail=()):
    net = Net()
    last = net.conv(8, channels, name="raw")
    for kind in tail:
        last = net.op(kind, last, (1, 64, 64, channels))
    return net.graph(last)


def grids(channels, sides=(8, 4)):
    net = Net()
    return net.graph(*(net.conv(side, channels) for side in sides))


def anchored_ssd():
    """Two grids of 3 and 6 boxes a cell, as SSD MobileNets have them."""
    net = Net()
    boxes, scores = [], []
    for side, count in ((8, 3), (4, 6)):
        rows = side * side * count
        boxes.append(net.op("RESHAPE", net.conv(side, 4 * count), (1, rows, 4)))
        scores.append(net.op("RESHAPE", net.conv(side, 5 * count), (1, rows, 5)))
    rows = 8 * 8 * 3 + 4 * 4 * 6
    return net.graph(
        net.op("CONCATENATION", tuple(boxes), (1, rows, 4)),
        net.op("CONCATENATION", tuple(scores), (1, rows, 5)),
    )


def raw_pairs(boxes, scores=80):
    net = Net()
    return net.graph(*(net.conv(side, count) for side in (8, 4) for count in (boxes, scores)))


FAMILIES = {
    "raw distributions": (raw_pairs(64), "yolo"),
    "raw distances": (raw_pairs(4), "yolo"),
    "raw boxes of three anchors": (raw_pairs(12, 15), None),
    "classifier": (classifier("SOFTMAX"), "classifier"),
    "row of raw numbers": (classifier(None), None),
    "row of shares": (classifier("LOGISTIC"), None),
    "autoencoder": (same_size(), "autoencoder"),
    "autoencoder in -1..1": (same_size(last="TANH"), "autoencoder"),
    "image again, or three raw maps": (same_size(last=None), None),
    "grey image again, or a mask of it": (same_size(channels=1), None),
    "image again, with a way around": (same_size(around=True), None),
    "mask of a grey image": (same_size(channels=1, around=True), "unet"),
    "three raw maps": (same_size(around=True, last=None), "unet"),
    "three maps of one another": (same_size(last="SOFTMAX"), "unet"),
    "map": (segmenter("SOFTMAX"), "unet"),
    "map of ids": (segmenter("SOFTMAX", "ARG_MAX"), "unet"),
    "coarse map, resized": (coarse_map(tail=["RESIZE_BILINEAR"]), "unet"),
    "coarse map, or one grid": (coarse_map(), None),
    "grids": (grids(24), "yolo"),
    "maps of two scales": (grids(2), None),
    "grids of unlike sides": (grids(24, (8, 3)), None),
    "anchors of an SSD": (anchored_ssd(), "ssd"),
}


@pytest.mark.parametrize(("graph", "family"), FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_told_by_structure_or_not_told(graph, family):
    found, reason = family_of(graph)

    assert found == family
    assert reason


@pytest.mark.parametrize("name", ["yolov2", "yolov5", "yolov8", "yolov10", "yolox", "raw_grids"])
def test_a_yolo_is_told_by_its_grids(exports, name):
    graph = read_foreign(exports / f"{name}.tflite", shapes_of=None)

    assert family_of(graph)[0] == "yolo"


def test_what_fits_several_families_is_asked_for_with_the_reason():
    with pytest.raises(
        ConfigError, match=r"may be a map of classes or a grid .*--family ssd, yolo"
    ):
        find(coarse_map(), PATH, family=None, choice=Choice())

    assert find(coarse_map(), PATH, family="unet", choice=Choice()).graph.outputs == ("classes",)


@pytest.mark.parametrize(
    ("graph", "choice", "activation", "shape"),
    [
        pytest.param(classifier("SOFTMAX"), Choice(), "softmax", (1, 10), id="softmax"),
        pytest.param(classifier("LOGISTIC"), Choice(), "sigmoid", (1, 10), id="sigmoid"),
        pytest.param(classifier(None), Choice(activation="softmax"), "softmax", (1, 10), id="raw"),
    ],
)
def test_a_classifier_ends_in_its_raw_scores(graph, choice, activation, shape):
    found = find(graph, PATH, family="classifier", choice=choice)

    assert found.head == ClassesHead(activation=activation)
    assert found.graph.shape("scores") == shape
    assert found.sources == {"scores": ("raw", None)}


def test_a_softmax_of_another_temperature_stays_in_the_graph():
    found = find(classifier("SOFTMAX", beta=2.0), PATH, family=None, choice=Choice())

    assert found.head == ClassesHead(activation="none")
    assert found.graph.ops[-1].kind == "SOFTMAX"


def test_what_makes_likelihoods_of_raw_scores_is_asked_for():
    with pytest.raises(ConfigError, match=r"raw scores of 10 classes, .*--activation softmax"):
        find(classifier(None), PATH, family="classifier", choice=Choice())


@pytest.mark.parametrize(
    ("graph", "family", "sentence"),
    [
        (classifier("SOFTMAX"), "classifier", "ends in a softmax; leave out --activation sigmoid"),
        (segmenter("SOFTMAX"), "unet", "--activation is of a classifier, this is .* unet"),
    ],
)
def test_an_activation_that_says_nothing_is_refused(graph, family, sentence):
    with pytest.raises(ConfigError, match=sentence):
        find(graph, PATH, family=family, choice=Choice(activation="sigmoid"))


def test_an_autoencoder_keeps_its_activation():
    found = find(same_size(), PATH, family=None, choice=Choice())

    assert found.graph.outputs == ("reconstruction",)
    assert found.graph.ops[-1].kind == "LOGISTIC"
    assert found.head == AnomalyHead(threshold=MAX_ERROR)


@pytest.mark.parametrize(
    ("graph", "family", "sentence"),
    [
        (segmenter(), "autoencoder", r"an output of the input's shape, \(1, 64, 64, 3\), found"),
        (segmenter(), "classifier", r"one row of class scores, .* found \(1, 64, 64, 4\) in 'raw'"),
    ],
)
def test_what_is_no_whole_image_head_is_refused_as_one(graph, family, sentence):
    with pytest.raises(ModelError, match=sentence):
        find(graph, PATH, family=family, choice=Choice())


@pytest.mark.parametrize("tail", [["SOFTMAX"], ["SOFTMAX", "ARG_MAX"], ["RESIZE_BILINEAR"]])
def test_a_map_is_cut_before_its_activation_and_keeps_a_resize_that_stands_before_none(tail):
    found = find(segmenter(*tail), PATH, family=None, choice=Choice())

    kept = [op.kind for op in found.graph.ops]
    assert kept == (["CONV_2D", "RESIZE_BILINEAR"] if tail == ["RESIZE_BILINEAR"] else ["CONV_2D"])


def test_of_several_outputs_one_is_named():
    graph = grids(24)

    with pytest.raises(ConfigError, match="--output-name"):
        find(graph, PATH, family="unet", choice=Choice())
    found = find(graph, PATH, family="unet", choice=Choice(output=graph.outputs[1]))
    assert found.graph.shape("classes") == (1, 4, 4, 24)


def test_outputs_of_one_tensor_are_one():
    net = Net()
    raw = net.conv(64, 4, name="raw")
    graph = net.graph(
        net.op("SOFTMAX", raw, (1, 64, 64, 4)), net.op("ARG_MAX", raw, (1, 64, 64), np.int32(3))
    )

    assert find(graph, PATH, family="unet", choice=Choice()).graph.shape("classes") == (
        1,
        64,
        64,
        4,
    )


@pytest.mark.parametrize(("boxes", "scores"), [(12, 15), (7, 9)])
def test_raw_boxes_that_may_be_an_ssds_are_no_yolos(boxes, scores):
    with pytest.raises(ModelError, match=r"found \(1, 8, 8, "):
        find(raw_pairs(boxes, scores), PATH, family="yolo", choice=Choice())


def test_raw_distances_and_distributions_are_told_by_their_channels():
    heads = [find(raw_pairs(n), PATH, family=None, choice=Choice()).head for n in (4, 64)]

    assert [(head.boxes, head.bins) for head in heads] == [("distances", 1), ("distribution", 16)]


def test_a_net_with_further_convolutions_beside_its_grids_is_no_detector():
    net = Net()
    outputs = [net.conv(8, 24), net.conv(4, 24), net.conv(4, 24)]

    with pytest.raises(ModelError, match="found 1 on 8 x 8 cells; 2 on 4 x 4 cells"):
        find(net.graph(*outputs), PATH, family="yolo", choice=Choice())
