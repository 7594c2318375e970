"""A detector of fewer labels gives, of those that are left, the numbers that it gave."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawn_nets import Net
from factories import input_transform, manifest
from reference import bright_net

from converter.choice import InputChoice, Origin
from converter.graph.reading import read
from converter.graph.writing import write
from converter.importers import facts
from converter.prune.labels import with_labels
from converter.prune.measures import Macs
from converter.quantize.running import tapped
from converter.train.nets.table import NETS
from converter.train.nets.wish import Wish
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ConfigError, ModelError
from edge.model.model_file import ModelFile

LABELS = ("cat", "dog", "person", "tv")
SIZES_WH = tuple((0.05 * n, 0.06 * n) for n in range(1, 25))
DETECTORS = ("ssd-mobilenet", "yolo-tiny-v3", "yolo-tiny-v4")
CAT, PERSON = 0, 2
# Before a row's first label, where a YOLO has all in one output: the box and its objectness.
COMBINED = 5


def trained_net(name):
    net = NETS[name]
    wish = Wish(LABELS, (96, 96), anchors_wh=SIZES_WH[: net.anchors], half=net.half, width=0.25)
    return facts.complete(net.make(wish), Path(name), family=None, origin=Origin(name=name),
                          choice=InputChoice())  # fmt: skip


def anchor_free_net():
    net = Net(shape=(1, 32, 32, 3))
    cells = net.relu(net.conv("image", 16, stride=8))
    heads = {"boxes": 4, "scores": len(LABELS), "objectness": 1}
    outputs = {role: net.conv(cells, width, kernel=1) for role, width in heads.items()}
    grid = AnchorFreeGrid(stride_px=8, **{role: role for role in heads})
    described = manifest(
        input=input_transform(size_wh=(32, 32)), labels=LABELS, outputs=outputs,
        head=AnchorFreeHead(grids=(grid,), boxes="center_exp"),
    )  # fmt: skip
    graph = net.builder.graph(list(outputs.values()))
    return ModelFile.of(Path("free.tflite"), write(graph), described, anchors=None)


def combined_yolo_net(classes="sigmoid"):
    net = Net(shape=(1, 32, 32, 3))
    cells = net.relu(net.conv("image", 16, stride=8))
    sizes = ((8.0, 8.0), (12.0, 6.0))
    rows = net.conv(cells, len(sizes) * (COMBINED + len(LABELS)), kernel=1)
    grid = YoloGrid(boxes="rows", objectness="rows", scores="rows", anchors_px=sizes)
    described = manifest(
        input=input_transform(size_wh=(32, 32)), labels=LABELS, outputs={"rows": rows},
        head=YoloHead(grids=(grid,), classes=classes),
    )  # fmt: skip
    return ModelFile.of(Path("y.tflite"), write(net.builder.graph([rows])), described, anchors=None)


def outputs_of(file, seed=0):
    graph = read(file.flatbuffer, file.path)
    image = np.random.default_rng(seed).normal(0, 1, graph.shape(graph.inputs[0]))
    roles = file.description.outputs
    (found,) = tapped(graph, list(roles.values()), [[image.astype(np.float32)]])
    return dict(zip(roles, found, strict=True))


NETS_OF = {name: partial(trained_net, name) for name in DETECTORS} | {
    "anchor-free": anchor_free_net, "combined yolo": combined_yolo_net,
}  # fmt: skip


@pytest.mark.parametrize("name", NETS_OF)
def test_what_is_left_of_the_scores_is_what_was(name):
    file = NETS_OF[name]()
    made = with_labels(file, ("person", "cat"))
    assert made.description.labels == ("cat", "person")  # in the model's order
    assert made.own_manifest().provenance.steps[-1] == "2 of 4 labels kept"
    first = COMBINED if name == "combined yolo" else 0
    columns = [*range(first), first + CAT, first + PERSON]
    before, after = outputs_of(file), outputs_of(made)
    for role, values in before.items():
        if after[role].shape != values.shape:
            rows = values.reshape(-1, first + len(LABELS))
            values = rows[:, columns].reshape(after[role].shape)  # noqa: PLW2901
        np.testing.assert_allclose(after[role], values, atol=1e-5)
    assert sum(after[role].size < before[role].size for role in before) >= 1
    assert Macs(file).gain(made) > 1


def test_all_labels_leave_the_model_as_it_is():
    file = anchor_free_net()
    assert with_labels(file, LABELS) is file


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(("dgo",), "found 'dgo'; near is dog"), (("zebra",), "it has cat, dog, person, tv"),
     (("",), "found ''")],
)  # fmt: skip
def test_a_label_that_it_has_not_is_refused_with_those_it_has(wanted, said):
    with pytest.raises(ConfigError, match=said):
        with_labels(anchor_free_net(), wanted)


def test_scores_that_hang_on_each_other_are_refused():
    net = Net()
    graph = net.close(net.relu(net.conv("image", 16)))
    described = manifest(
        input=input_transform(size_wh=(6, 8)), labels=tuple("abcde"),
        outputs={"classes": graph.outputs[0]}, head=SegmentationHead(activation="softmax"),
    )  # fmt: skip
    file = ModelFile.of(Path("net.tflite"), write(graph), described, anchors=None)
    with pytest.raises(
        ModelError, match=r"stand each for itself .*found segmentation; leave --classes out"
    ):
        with_labels(file, ("a",))


def test_scores_of_a_softmax_are_refused():
    file = trained_net("ssd7")
    with pytest.raises(
        ModelError, match=r"none in 'scores', as behind a softmax; leave --classes out"
    ):
        with_labels(file, ("cat",))


def test_a_yolo_with_a_softmax_is_refused_as_such():
    with pytest.raises(ModelError, match=r"found yolo with a softmax; leave --classes out"):
        with_labels(combined_yolo_net("softmax"), ("cat",))


def test_the_column_of_no_object_stays():
    file = bright_net.model_file()
    made = with_labels(file, ("square",))
    assert outputs_of(made)["scores"] == pytest.approx(outputs_of(file)["scores"][..., :2])
