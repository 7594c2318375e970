"""A segmentation graph is cut at its raw scores and behind its own normalisation."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphdef_files import CONSTANTS, graph_message, segmenter

from converter.choice import Choice, InputChoice
from converter.importers import frozen_graph
from converter.importers.segmentation_graph import find_segmentation
from edge.errors import ConfigError, ModelError

pytestmark = pytest.mark.converter
PATH = Path("graph.pb")


def cut(rows, **choice):
    data = graph_message(rows, CONSTANTS).SerializeToString()
    return find_segmentation(frozen_graph.read_bytes(data, PATH), PATH, Choice(**choice))


TAILS = {
    "none": ([], "raw"),
    "sigmoid": ([("mask", "Sigmoid", "raw")], "raw"),
    "softmax, reshaped": ([("p", "Softmax", "raw"), ("o", "Reshape", "p", "size")], "raw"),
    "argmax": ([("ids", "ArgMax", "raw", "axis"), ("o", "Cast", "ids")], "raw"),
    "resized to the frame": (
        [
            ("shape", "Shape", "image"),
            ("up", "ResizeBilinear", "raw", "shape"),
            ("o", "ArgMax", "up"),
        ],
        "raw",
    ),
    "resized to a size": (
        [("up", "ResizeBilinear", "raw", "size"), ("o", "Softmax", "up")],
        "up",
    ),
    "resized after the sigmoid": (
        [("mask", "Sigmoid", "raw"), ("o", "ResizeBilinear", "mask", "size")],
        "raw",
    ),
    "two of the same scores": ([("a", "ArgMax", "raw"), ("b", "Softmax", "raw")], "raw"),
}


@pytest.mark.parametrize(("tail", "expected"), TAILS.values(), ids=TAILS.keys())
def test_the_cut_lies_at_the_raw_scores(tail, expected):
    found = cut(segmenter(*tail))

    assert found.fetches == {"classes": expected}
    assert (found.feed, found.size_wh) == ("image", (48, 32))


ENTRIES = {
    "x * m - s": (
        [("a", "Mul", "factor", "image"), ("b", "Sub", "a", "one")],
        "b",
        (127.5,) * 3,
        (127.5,) * 3,
    ),
    "x - means": ([("a", "Sub", "image", "means")], "", None, None),
    "(x - means) * m": (
        [("a", "Sub", "image", "means"), ("b", "Mul", "a", "factor")],
        "b",
        (123, 117, 104),
        (127.5,) * 3,
    ),
    "padded behind it": (
        [("a", "Mul", "image", "factor"), ("p", "Pad", "a", "size")],
        "a",
        (0,) * 3,
        (127.5,) * 3,
    ),
}


@pytest.mark.parametrize(("entry", "feed", "mean", "std"), ENTRIES.values(), ids=ENTRIES.keys())
def test_the_graphs_own_normalisation_becomes_the_transform(entry, feed, mean, std):
    found = cut(segmenter(entry=entry))

    if mean is None:  # std 1 may be of pixels, or of anything: it stays in the graph
        assert (found.feed, found.transform) == ("image", None)
        return
    assert found.feed == feed
    assert found.transform.mean == pytest.approx(mean, rel=1e-5)
    assert found.transform.std == pytest.approx(std, rel=1e-5)


def test_a_normalisation_that_not_everything_passes_stays_in_the_graph():
    entry = [("a", "Mul", "image", "factor")]

    found = cut(segmenter(("o", "AddV2", "raw", "image"), entry=entry))

    assert (found.feed, found.transform) == ("image", None)


def test_several_outputs_are_listed_and_one_can_be_named():
    rows = segmenter(("other", "Relu", "conv"))

    with pytest.raises(ConfigError, match=r"raw, other.*--output-name"):
        cut(rows)
    assert cut(rows, output="other").fetches == {"classes": "other"}
    with pytest.raises(ConfigError, match="one of raw, other"):
        cut(rows, output="gone")


def test_a_model_of_any_size_asks_for_one():
    message = graph_message(segmenter(), CONSTANTS)
    image = next(node for node in message.node if node.name == "image")
    image.attr["shape"].shape.dim[1].size = -1
    graph = frozen_graph.read_bytes(message.SerializeToString(), PATH)

    with pytest.raises(ConfigError, match="--size"):
        find_segmentation(graph, PATH, Choice())
    choice = Choice(input=InputChoice(size_wh=(64, 96)))
    assert find_segmentation(graph, PATH, choice).size_wh == (64, 96)


def test_two_inputs_are_refused():
    with pytest.raises(ModelError, match="second, image"):
        cut([("second", "Placeholder"), *segmenter(("o", "AddV2", "raw", "second"))])
