"""Find the raw class scores of a segmentation graph, behind softmax, argmax and resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.cut import Cut
from converter.graphdef import Graph, Node, node_name
from converter.importers.normalisation import find_entry, input_size
from edge.decode.segmentation import SegmentationHead
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice

ACTIVATIONS = ("Sigmoid", "Softmax", "ArgMax")
# What only moves values about: it can be cut off together with the activation before it.
MOVERS = ("Identity", "Cast", "Squeeze", "ExpandDims", "Reshape", "StridedSlice", "Slice")
RESIZES = ("ResizeBilinear", "ResizeNearestNeighbor")
# Nodes that nobody reads, and that are no output either.
NO_OUTPUT = ("Const", "Assert", "NoOp", "Placeholder", "AssignVariableOp", "SaveV2", "RestoreV2")
CHANGES = "cut at the raw class scores; resize, activation and argmax left to the runtime"


def find_segmentation(graph: Graph, path: Path, choice: Choice) -> Cut:
    """Return the cut between the normalised image and the raw class scores.

    Raises:
        ConfigError: There are several outputs, and none is named.
        ModelError: There is none, or not one image goes in.
    """
    names = chosen_outputs(graph, path, choice.output)
    raw = {find_raw_scores(graph, name): name for name in names}
    if len(raw) != 1:
        raise ConfigError(
            f"{path}: expected a segmenter with one output, found {', '.join(names)}; "
            "name the one to keep with --output-name"
        )
    (scores,) = raw
    entry = find_entry(graph, [scores])
    return Cut(
        feed=entry.feed,
        fetches={"classes": scores},
        size_wh=input_size(graph, choice.input),
        # How many channels there are, and so which activation, is known once it is lowered.
        head=SegmentationHead(activation="softmax"),
        transform=entry.transform,
        changes=CHANGES,
    )


def chosen_outputs(graph: Graph, path: Path, name: str | None) -> list[str]:
    """Return the nodes whose results nobody in the graph reads, or the one that is named.

    Raises:
        ConfigError: There is no such output.
        ModelError: There is none at all.
    """
    found = output_names(graph)
    if not found:
        raise ModelError(f"{path}: expected a graph with an output, found none; export it again")
    if name is None:
        return found
    wanted = node_name(name)
    if wanted not in graph.nodes:
        raise ConfigError(
            f"{path}: expected an output, one of {', '.join(found)}, found --output-name {name}"
        )
    return [wanted]


def output_names(graph: Graph) -> list[str]:
    """Return the nodes whose results nobody in the graph reads."""
    read = {node_name(name) for node in graph.nodes.values() for name in node.inputs}
    return [
        node.name
        for node in graph.nodes.values()
        if node.name not in read and node.op not in NO_OUTPUT
    ]


def find_raw_scores(graph: Graph, name: str) -> str:
    """Return the node that makes the raw scores which an output is made of."""
    node: Node | None = graph.nodes[name]
    tail: list[Node] = []
    while node is not None and node.op in (*MOVERS, *RESIZES, *ACTIVATIONS):
        tail.append(node)
        node = graph.source(node)
    activations = [number for number, node in enumerate(tail) if node.op in ACTIVATIONS]
    start = activations[-1] + 1 if activations else 0
    for candidate in (*tail[start:], node):
        if candidate is not None and not _is_dispensable(graph, candidate):
            return candidate.name
    return name


def _is_dispensable(graph: Graph, node: Node) -> bool:
    """Return whether scores can be taken before this node: it moves them, or follows the frame."""
    if node.op in RESIZES:
        size = graph.source(node, 1)
        return size is None or size.name not in graph.constants
    return node.op in MOVERS
