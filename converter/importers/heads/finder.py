"""Tell a graph's family from its structure, and find the raw heads of that family."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from converter.graph.foreign import POSTPROCESS
from converter.importers.heads.beside import told_of_beside
from converter.importers.heads.families import FAMILIES
from converter.importers.heads.fields import BOX_AND_OBJECTNESS
from converter.importers.heads.maps import raw_scores, shows_classes
from converter.importers.heads.raw import NHWC, raw_heads, tail_of
from converter.importers.heads.whole import told_of_whole
from converter.importers.heads.yolo import MIN_BINS
from edge.decode.boxes import BOX_SIDES
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph

MAP_STRIDE = 4  # a map of classes is at least so fine; the finest grid of a YOLO has 8 pixels
COARSE_STRIDE = 16


def find(graph: Graph, path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return a float graph up to its raw heads, with what they mean.

    Args:
        graph: The whole model, channels last, with its decode where the export had one.
        path: For messages.
        family: A key of `FAMILIES`; `None` takes what the graph tells.
        choice: What the person says of anchors, box scales, activation and the output to keep.

    Raises:
        ConfigError: The family can't be told, it is another one, or something is not said.
        ModelError: Nothing of that family is found; the message names the tensor that stopped it.
    """
    told, reason = family_of(graph)
    family = family or told
    if family not in FAMILIES:
        raise ConfigError(
            f"{path}: {reason}; say what it shall become: --family {', '.join(FAMILIES)}"
        )
    if choice.activation and family != "classifier":
        raise ConfigError(
            f"{path}: --activation is of a classifier, this is a model of family {family}; "
            "leave it out"
        )
    if POSTPROCESS in {op.kind for op in graph.ops} and family != "ssd":
        raise ConfigError(
            f"{path}: expected a model of family {family}, found an SSD: {reason}; "
            "type: --family ssd"
        )
    found = FAMILIES[family].find(graph, path, choice)
    if set(found.graph.outputs) & set(found.graph.inputs):
        raise ModelError(
            f"{path}: expected a model that computes something, found its own image as output; "
            "export the model again"
        )
    return found


def family_of(graph: Graph) -> tuple[str | None, str]:
    """Return the family that a graph's structure tells, or `None`, and why."""
    if any(op.kind == POSTPROCESS for op in graph.ops):
        return "ssd", f"it ends in {POSTPROCESS}"
    if len({raw_scores(graph, name) for name in graph.outputs}) == 1:
        told = _of_one_output(graph, graph.outputs[0])
        if told is not None:
            return told
    raws = raw_heads(graph)
    shapes = [graph.shape(name) for name in raws]
    if any(len(shape) != NHWC for shape in shapes) or not shapes:
        return None, "its last layers are no convolutions on grids of fixed size"
    sizes = [(height, width) for _, height, width, _ in shapes]
    each = {sizes.count(size) for size in sizes}
    told = told_of_beside(graph, raws)
    if told is not None:
        return told
    if each == {1}:
        told = _of_single_convolutions(shapes)
    elif each == {2}:
        told = _of_pairs(graph, raws)
    elif each == {3} and {1, BOX_SIDES} <= {shape[3] for shape in shapes}:
        told = "yolo", "each grid has convolutions for boxes, objectness and classes, as YOLOX has"
    return told or (
        None, f"{len(shapes)} last convolutions on {len(set(sizes))} grids fit no family surely"
    )  # fmt: skip


def _of_one_output(graph: Graph, output: str) -> tuple[str | None, str] | None:
    """Tell maps and rows of classes by the one output that they have."""
    name = raw_scores(graph, output)
    shape, image = graph.shape(name), graph.shape(graph.inputs[0])
    if name in graph.inputs:
        return None
    if (told := told_of_whole(graph, output)) is not None:
        return told
    if len(shape) != NHWC or len(image) != NHWC or not all(shape[1:3]):
        return None
    stride = image[1] / shape[1]
    if stride <= MAP_STRIDE or shows_classes(graph, output):
        return "unet", f"its output is a map of {shape[1]} x {shape[2]} cells"
    if stride < COARSE_STRIDE or shape[3] <= BOX_AND_OBJECTNESS:
        return None, f"its output {shape} may be a map of classes or a grid of boxes"
    return None if len(raw_heads(graph)) > 1 else ("yolo", f"its output is one grid {shape}")


def _of_single_convolutions(shapes: list[tuple[int, ...]]) -> tuple[str, str] | None:
    sides = sorted({shape[1] for shape in shapes}, reverse=True)
    doubling = all(fine == 2 * coarse for fine, coarse in pairwise(sides))
    if len({shape[3] for shape in shapes}) == 1 and shapes[0][3] > BOX_AND_OBJECTNESS and doubling:
        return "yolo", f"one convolution of {shapes[0][3]} channels on each of {len(sides)} grids"
    return None


def _of_pairs(graph: Graph, raws: tuple[str, ...]) -> tuple[str, str] | None:
    """Tell one box a cell from several by the rows in which the decode ends."""
    ends = tail_of(graph, raws).ends
    sizes = {graph.shape(name)[1:3] for name in raws}
    cells = sum(height * width for height, width in sizes)
    if any(cells in graph.shape(name) for name in ends):
        return "yolo", "each cell has one box, as YOLOv6 and v8 to v11 have"
    if ends:
        return "ssd", "each cell has several boxes, each with a row of scores"
    channels = [graph.shape(name)[3] for name in raws]
    boxes = {count for count in channels if channels.count(count) >= len(sizes)}
    if boxes & {BOX_SIDES, *range(BOX_SIDES * MIN_BINS, 1 + max(channels), BOX_SIDES)}:
        return "yolo", "each grid has one box a cell and its scores, not decoded"
    return None
