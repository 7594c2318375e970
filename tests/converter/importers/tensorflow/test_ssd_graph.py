"""The parts of an SSD graph are found by structure, and a missing one is named."""

from __future__ import annotations

import numpy as np
import pytest

from converter.importers.tensorflow import tfjs
from converter.importers.tensorflow.graphdef import Graph, Node
from converter.importers.tensorflow.ssd_graph import ANCHORS, DECODE, find_ssd
from edge.errors import ModelError

CONSTANTS = {
    "mul/x": np.float32(2 / 255),
    "sub/y": np.float32(1),
    "size": np.array([200, 300], np.int32),
    "corners": np.array([[[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 1.0, 1.0]]], np.float32),
    "tenth": np.float32(0.1),
    "five": np.float32(5),
}


def ssd_graph(**changes):
    """Return what an exported SSD keeps around its feature maps; None removes a node."""
    rows = [
        ("image", "Placeholder"),
        ("Preprocessor/resize", "ResizeBilinear", "image", "size"),
        ("Preprocessor/mul", "Mul", "mul/x", "Preprocessor/resize"),
        ("Preprocessor/sub", "Sub", "Preprocessor/mul", "sub/y"),
        ("boxes", "Squeeze", "Preprocessor/sub"),
        ("logits", "ConcatV2", "Preprocessor/sub"),
        ("Postprocessor/convert_scores", "Sigmoid", "logits"),
        ("flat", "Reshape", "boxes"),
        (f"{DECODE}/transpose", "Transpose", "flat"),
        ("tile", "Tile", "corners"),
        (ANCHORS, "Transpose", "tile"),
        ("ty", "Mul", f"{DECODE}/unstack", "tenth"),
        ("tx", "Mul", f"{DECODE}/unstack:1", "tenth"),
        ("th", "RealDiv", f"{DECODE}/unstack:2", "five"),
        ("tw", "RealDiv", f"{DECODE}/unstack:3", "five"),
        *((name, "Const") for name in CONSTANTS),
    ]
    nodes = {name: Node(name, op, tuple(inputs)) for name, op, *inputs in rows} | changes
    kept = {name: node for name, node in nodes.items() if node}
    return Graph(kept, {name: np.asarray(value) for name, value in CONSTANTS.items()})


def test_the_cut_lies_at_the_normalised_image_and_the_raw_heads():
    cut = find_ssd(ssd_graph())

    assert cut.feed == "Preprocessor/sub"
    assert cut.fetches == {"boxes": "boxes:0", "scores": "logits:0"}


def test_the_transform_is_that_of_the_graphs_own_constants():
    transform = find_ssd(ssd_graph()).transform

    assert transform.size_wh == (300, 200)
    assert transform.mean == transform.std == (127.5, 127.5, 127.5)
    assert (transform.color, transform.resize) == ("rgb", "stretch")


def test_box_scales_are_divisors_whether_the_graph_multiplies_or_divides():
    assert find_ssd(ssd_graph()).head.box_scales == (10.0, 10.0, 5.0, 5.0)


def test_anchors_turn_from_corners_into_centre_and_size():
    expected = [[0.3, 0.3, 0.4, 0.2], [0.5, 0.5, 1.0, 1.0]]

    np.testing.assert_allclose(find_ssd(ssd_graph()).anchors, expected, rtol=1e-6)


SOFTMAX = Node("Postprocessor/convert_scores", "Softmax", ("logits",))
MISSING = {
    "scores": ({"Postprocessor/convert_scores": None}, "the score activation"),
    "softmax": ({"Postprocessor/convert_scores": SOFTMAX}, "with Softmax"),
    "boxes": ({f"{DECODE}/transpose": None}, "the raw boxes"),
    "a box scale": ({"tw": None}, "four box scales"),
    "anchors": ({"tile": Node("tile", "Tile", ("image",))}, "the anchors"),
    "normalisation": ({"Preprocessor/sub": None}, "the input normalisation"),
    "size": ({"Preprocessor/resize": None}, "the input size"),
}


@pytest.mark.parametrize(("changes", "words"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_part_is_named(changes, words):
    with pytest.raises(ModelError, match=words):
        find_ssd(ssd_graph(**changes))


@pytest.mark.assets
def test_the_real_detector_has_the_anchors_of_its_published_generator(assets):
    """The first map: 19 x 19, scale 0.2, aspect ratios 1 (reduced), 2 and 1/2.

    Source: the pipeline configuration of ssdlite_mobilenet_v2_coco: 6 layers, scales 0.2..0.95,
    and `reduce_boxes_in_lowest_layer`, which puts a box of scale 0.1 first.
    """
    path = assets / "models" / "ssdlite_mobilenet_v2_coco_tfjs" / "model.json"

    anchors = find_ssd(tfjs.read(path)).anchors

    assert anchors.shape == (1917, 4)
    centre = 0.5 / 19
    first = [[centre, centre, 0.1, 0.1],
             [centre, centre, 0.2 / 2**0.5, 0.2 * 2**0.5],
             [centre, centre, 0.2 * 2**0.5, 0.2 / 2**0.5]]  # fmt: skip
    np.testing.assert_allclose(anchors[:3], first, atol=1e-6)
    np.testing.assert_allclose(anchors[3 * 19 * 19 - 1, :2], 1 - centre, atol=1e-6)
    np.testing.assert_allclose(anchors[-6:, :2], 0.5, atol=1e-6)
