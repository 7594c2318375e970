"""Heads of one output: a map of classes behind what only shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.draft import Draft
from converter.importers.heads.raw import NHWC, RESHAPERS, before_reshapes, cut_at
from edge.decode.segmentation import SegmentationHead
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.graph.values import Graph

ACTIVATIONS = ("LOGISTIC", "SOFTMAX", "ARG_MAX")
RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
# A slice shows some of the classes, such as the foreground alone.
SHOWS = (*ACTIVATIONS, *RESIZES, *RESHAPERS, "STRIDED_SLICE", "SLICE")


def find_segmentation(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return a segmenter up to its raw scores: what its output's last activation reads.

    Raises:
        ConfigError: There are several outputs, and none is named.
        ModelError: What is found is no map.
    """
    name = raw_scores(graph, chosen(graph, path, choice.output))
    shape = graph.shape(name)
    if len(shape) != NHWC or shape[0] != 1:
        raise ModelError(
            f"{path}: expected class scores of shape (1, height, width, classes), found {shape} in "
            f"{name!r}; give a segmentation model, or another --family"
        )
    return Draft(
        cut_at(graph, {"classes": name}),
        SegmentationHead(activation="sigmoid" if shape[3] == 1 else "softmax"),
        changes=cut_in_words(graph, name),
        sources={"classes": (name, None)},
    )


def raw_scores(graph: Graph, name: str) -> str:
    """Return the tensor that an output's last activation reads, before any resize behind that.

    A resize before it, to the size of the image, is the runtime's as well, and a map at that size
    the largest tensor.
    """
    shown = tail(graph, name)
    kinds = [graph.producers[tensor].kind for tensor in shown[:-1]]
    activated = [place for place, kind in enumerate(kinds) if kind in ACTIVATIONS]
    found = before_reshapes(graph, shown[activated[-1] + 1 if activated else 0])
    size = graph.shape(graph.inputs[0])[1:3]
    while activated and (op := graph.producers.get(found)) is not None and op.kind in RESIZES:
        before = graph.shape(op.inputs[0])
        if graph.shape(found)[1:3] not in (size, before[1:3]):
            break
        found = before_reshapes(graph, op.inputs[0])
    return found


def shows_classes(graph: Graph, name: str) -> bool:
    """Return whether an output is made by an activation over classes or a resize of them."""
    kinds = {graph.producers[tensor].kind for tensor in tail(graph, name)[:-1]}
    return bool({"SOFTMAX", "ARG_MAX", *RESIZES} & kinds)


def tail(graph: Graph, name: str) -> list[str]:
    """Return an output and, back from it, what it only shows; the last is what is shown."""
    found = [name]
    while (op := graph.producers.get(found[-1])) is not None and op.kind in SHOWS:
        found.append(op.inputs[0])
    return found


def chosen(graph: Graph, path: Path, name: str | None) -> str:
    """Return the output of that name, or the one whose raw scores all outputs show.

    Raises:
        ConfigError: There are several, and none is named.
    """
    outputs = graph.outputs
    if name is None and len({raw_scores(graph, output) for output in outputs}) == 1:
        return outputs[0]
    if name not in outputs:
        raise ConfigError(
            f"{path}: expected a model with one output, found {', '.join(outputs)}; "
            "name the one to keep with --output-name"
        )
    return name


def cut_in_words(graph: Graph, name: str) -> str:
    """Return what becomes of a graph of which this tensor alone is kept, for the manifest."""
    if graph.outputs == (name,):
        return "outputs named"
    return "cut at the raw outputs, the rest left to the runtime"
