"""The one image that a TensorFlow graph takes: its node, its shape, its numbers as floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.draft import COLOURS, GREY, check_channels
from converter.graph.edits import with_reads
from converter.importers.tensorflow.frozen_graph import DTYPES
from converter.importers.tensorflow.graphdef import CONVOLUTIONS, Graph, Node
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.graph.values import Graph as LoweredGraph

AXES = 4
FLOAT32 = {"type": "1"}
AFFINE = ("Mul", "Sub", "Add", "AddV2", "RealDiv")


def placeholder(graph: Graph, path: Path) -> Node:
    """Return the node of the image.

    Raises:
        ModelError: There is none, or another input.
    """
    found = [node for node in graph.nodes.values() if node.op == "Placeholder"]
    if len(found) != 1:
        names = ", ".join(node.name for node in found) or "none"
        raise ModelError(
            f"{path}: expected a model with one input, an image, found {names}; freeze the graph "
            "with the others as constants, or export a model of images alone"
        )
    return found[0]


def dtype(entry: Node) -> str:
    """Return the type of a placeholder, as NumPy spells it."""
    found = entry.attrs.get("dtype", {}).get("type", "1")
    names = {str(number): name for number, (name, _) in DTYPES.items()}
    return names.get(str(found), "float32" if found == "DT_FLOAT" else str(found))


def with_barrier(graph: Graph) -> Graph:
    """Return the graph with a Maximum that changes nothing before a convolution of the image.

    TensorFlow's converter would fold a scalar that is applied to the image into the convolution,
    where nobody could tell any more that the file normalises its image itself.
    """
    nodes, constants = dict(graph.nodes), dict(graph.constants)
    for node in graph.nodes.values():
        image = graph.source(node) if node.op in CONVOLUTIONS else None
        if image is None or image.op not in AFFINE:
            continue
        before = graph.between([image.name], feed="").nodes.values()
        if any(other.op in CONVOLUTIONS for other in before):
            continue
        barrier, least = f"{node.name}/barrier", f"{node.name}/least"
        nodes[least] = Node(least, "Const")
        constants[least] = np.array(np.finfo(np.float32).min)
        nodes[barrier] = Node(barrier, "Maximum", (node.inputs[0], least), {"T": FLOAT32})
        nodes[node.name] = Node(node.name, node.op, (barrier, *node.inputs[1:]), node.attrs)
    return Graph(nodes, constants)


def without_barrier(graph: LoweredGraph) -> LoweredGraph:
    """Return a lowered graph without what `with_barrier` put into it."""
    least = np.finfo(np.float32).min
    read = {}
    for op in graph.ops:
        value = graph.value(op.inputs[1]) if op.kind == "MAXIMUM" else None
        if value is not None and (value == least).all():
            read[op.output] = op.inputs[0]
    return with_reads(graph, read)


def shape(
    graph: Graph, entry: Node, *, path: Path, size_wh: tuple[int, int] | None
) -> tuple[int, int, int, int]:
    """Return `(1, H, W, C)` of a graph's input; arguments and errors as for `image_shape`."""
    rows = entry.attrs.get("shape", {}).get("shape", {}).get("dim", [])
    sides: list[int | None] = [int(row.get("size", -1)) for row in rows] or [None] * AXES
    if len(sides) == AXES and (sides[3] is None or sides[3] < 0):
        sides[3] = _first_channels(graph)
    return image_shape(sides, path, size_wh)


def _first_channels(graph: Graph) -> int | None:
    """Return how many channels the first convolution reads, if that is one or three."""
    for node in graph.nodes.values():
        kernel = graph.source(node, 1) if node.op in CONVOLUTIONS else None
        if kernel is not None and kernel.name in graph.constants:
            channels = graph.constants[kernel.name].shape[2]
            return int(channels) if channels in (GREY, COLOURS) else None
    return None


def image_shape(
    shape: Sequence[int | None], path: Path, size_wh: tuple[int, int] | None
) -> tuple[int, int, int, int]:
    """Return `(1, H, W, C)` of a model's input, what its file leaves open filled in.

    Args:
        shape: What the file says; `None` or -1 is open.
        path: For messages.
        size_wh: What the person says, for a file that leaves it open.

    Raises:
        ModelError: It is no image, or one with channels that no camera gives.
        ConfigError: It is of any size, and none is said, or of another than is said.
    """
    found = [None if side is None or side < 0 else side for side in shape]
    shown = f"({', '.join('any' if side is None else str(side) for side in found)})"
    if len(found) != AXES:
        raise ModelError(
            f"{path}: expected an image (batch, height, width, channels) as input, found {shown}"
        )
    batch, height, width, channels = found
    if batch not in (None, 1):
        raise ModelError(
            f"{path}: expected a batch of one image, or of any number, found {shown}; "
            "export the model with a batch of 1"
        )
    check_channels(COLOURS if channels is None else channels, path)
    if size_wh is None and (height is None or width is None):
        raise ConfigError(
            f"{path}: it takes an image of any size, {shown}; say which: --size WIDTHxHEIGHT"
        )
    if size_wh and (width or size_wh[0], height or size_wh[1]) != size_wh:
        raise ConfigError(
            f"{path}: its input is {shown}, of a fixed size, found --size "
            f"{size_wh[0]}x{size_wh[1]}; leave it out"
        )
    return 1, height or (size_wh or (0, 0))[1], width or (size_wh or (0, 0))[0], channels or COLOURS
