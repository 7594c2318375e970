"""A suppression gives its place to the boxes and scores that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.importers.tensorflow.graphdef import Graph, Node
from converter.importers.tensorflow.suppression import before_suppression
from edge.errors import ModelError

PATH = Path("saved")


def suppressed(*, boxes=("Identity", ())):
    op, inputs = boxes
    nodes = [
        Node("boxes", op, inputs),
        Node("scores", "Split"),
        Node("nms", "NonMaxSuppressionV3", ("boxes", "scores:1", "^scores")),
        Node("kept", "GatherV2", ("boxes", "nms")),
        Node("map", "Sigmoid"),
    ]
    return Graph({node.name: node for node in nodes}, {})


def test_what_hangs_on_a_suppression_becomes_its_boxes_and_scores_and_the_rest_stays():
    found = before_suppression(suppressed(), {"a": "kept:0", "b": "map:0"}, PATH)

    assert found == {"boxes": "boxes:0", "scores": "scores:1", "b": "map:0"}


def test_a_suppression_in_a_loop_is_named_with_the_way_out():
    with pytest.raises(ModelError, match=r"saved: NonMaxSuppressionV3 \(nms\).*--output-name"):
        before_suppression(suppressed(boxes=("Enter", ())), {"a": "kept:0"}, PATH)


def test_a_loop_that_has_ended_before_it_does_no_harm():
    graph = suppressed(boxes=("Exit", ("enter",)))
    graph.nodes["enter"] = Node("enter", "Enter")

    assert "boxes" in before_suppression(graph, {"a": "kept:0"}, PATH)
