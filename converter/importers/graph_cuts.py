"""Import a TensorFlow graph: find the cut for the family that the person names, lower, describe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converter.cut import Cut, draft_of
from converter.graph.reading import read
from converter.importers.normalisation import find_entry, input_size
from converter.importers.raw_heads import (
    Shape,
    segmentation_head,
    ssd_anchors,
    ssd_head,
    ssd_roles,
    yolo_head,
)
from converter.importers.segmentation_graph import (
    MOVERS,
    chosen_outputs,
    find_segmentation,
    output_names,
)
from converter.importers.ssd_graph import detection_api_graph, find_ssd
from edge.decode.segmentation import SegmentationHead
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graphdef import Graph, Node

# What a raw head is reshaped to and joined by, before the decode.
HEAD_CHANGES = "cut at the raw heads; decode and suppression left to the runtime"


def import_graph(graph: Graph, path: Path, *, family: str, choice: Choice) -> Draft:
    """Return the draft of a graph.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: Nothing of that family is found; the message names what was expected.
    """
    detector = detection_api_graph(graph)
    if detector is not None:
        if family != "ssd":
            raise ConfigError(
                f"{path}: expected a model of family {family}, found an SSD of the Object "
                "Detection API; type: --family ssd"
            )
        return draft_of(detector, find_ssd(detector))
    if family == "unet":
        return _segmentation(graph, path, choice)
    if family == "yolo":
        return _yolo(graph, path, choice)
    return _ssd(graph, path, choice)


def _segmentation(graph: Graph, path: Path, choice: Choice) -> Draft:
    draft = draft_of(graph, find_segmentation(graph, path, choice))
    head = segmentation_head(_shapes(draft, path)["classes"], path)
    return replace(draft, head=head)


def _yolo(graph: Graph, path: Path, choice: Choice) -> Draft:
    outputs = chosen_outputs(graph, path, choice.output)
    raw = [_before_movers(graph, name) for name in outputs]
    draft = _heads(graph, choice, {f"grid_{number}": name for number, name in enumerate(raw)})
    return replace(draft, head=yolo_head(_shapes(draft, path), path, choice))


def _ssd(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Import two raw heads whose anchors and decode stand in no file: the person says them."""
    names = {f"output_{number}": name for number, name in enumerate(output_names(graph))}
    found = {role: _before_sigmoid(graph, name) for role, name in names.items()}
    draft = _heads(graph, choice, {role: name for role, (name, _) in found.items()})
    shapes = _shapes(draft, path)
    boxes, scores = ssd_roles(shapes, path)
    anchors = ssd_anchors(path, choice, count=shapes[boxes][1])
    head = ssd_head(path, choice, activation="sigmoid" if found[scores][1] else "none")
    return replace(draft, head=head, anchors=anchors, outputs={"boxes": boxes, "scores": scores})


def _heads(graph: Graph, choice: Choice, fetches: dict[str, str]) -> Draft:
    entry = find_entry(graph, fetches.values())
    cut = Cut(
        feed=entry.feed,
        fetches=fetches,
        size_wh=input_size(graph, choice.input),
        # Stands in until the shapes are known.
        head=SegmentationHead(activation="none"),
        transform=entry.transform,
        changes=HEAD_CHANGES,
    )
    return draft_of(graph, cut)


def _before_movers(graph: Graph, name: str) -> str:
    node: Node | None = graph.nodes[name]
    while node is not None and node.op in MOVERS:
        name, node = node.name, graph.source(node)
    return node.name if node is not None else name


def _before_sigmoid(graph: Graph, name: str) -> tuple[str, bool]:
    """Return the raw node, and whether a sigmoid stood behind it."""
    node = graph.nodes[name]
    if node.op == "Identity":
        node = graph.source(node) or node
    raw = graph.source(node) if node.op == "Sigmoid" else None
    return (raw.name, True) if raw else (node.name, False)


def _shapes(draft: Draft, path: Path) -> dict[str, Shape]:
    graph = read(draft.flatbuffer, path)
    return {role: graph.shape(name) for role, name in draft.outputs.items()}
