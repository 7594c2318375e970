"""Heads of one output: a map of classes, or a row of them, behind what only shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.heads.raw import NHWC, RESHAPERS, Found, before_reshapes, cut_at
from edge.decode.classes import ClassesHead
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


def find_segmentation(graph: Graph, path: Path, choice: Choice) -> Found:
    """Return a segmenter up to its raw scores: what its output's last activation reads.

    Raises:
        ConfigError: There are several outputs, and none is named.
        ModelError: What is found is no map.
    """
    name = _chosen(graph, path, choice.output)
    shape = graph.shape(name)
    if len(shape) != NHWC or shape[0] != 1:
        raise ModelError(
            f"{path}: expected class scores of shape (1, height, width, classes), found {shape} in "
            f"{name!r}; give a segmentation model, or another --family"
        )
    return Found(
        cut_at(graph, {"classes": name}),
        SegmentationHead(activation="sigmoid" if shape[3] == 1 else "softmax"),
        changes=_changes(graph, name),
        sources={"classes": (name, None)},
    )


def find_classes(graph: Graph, path: Path, choice: Choice) -> Found:
    """Return a classifier up to its raw scores `(1, C)`; softmax where the file has no activation.

    Raises:
        ConfigError: There are several outputs, and none is named.
        ModelError: What is found is no row of scores.
    """
    name = _chosen(graph, path, choice.output)
    shape = graph.shape(name)
    if not shape or max(shape) != shape[-1] or any(side != 1 for side in shape[:-1]):
        raise ModelError(
            f"{path}: expected scores of shape (1, classes), found {shape} in {name!r}; "
            "give a classifier, or another --family"
        )
    is_sigmoid = any(op.kind == "LOGISTIC" for op in graph.readers.get(name, ()))
    return Found(
        cut_at(graph, {"scores": name}),
        ClassesHead(activation="sigmoid" if is_sigmoid else "softmax"),
        changes=_changes(graph, name),
        sources={"scores": (name, None)},
    )


def raw_scores(graph: Graph, name: str) -> str:
    """Return the tensor that an output's last activation reads, before any resize behind that.

    A resize before it, to the size of the image, is the runtime's as well, and a map at that size
    the largest tensor.
    """
    tail = [name]
    while (op := graph.producers.get(tail[-1])) is not None:
        if op.kind not in SHOWS:
            break
        tail.append(op.inputs[0])
    activated = [place for place, tensor in enumerate(tail[:-1])
                 if graph.producers[tensor].kind in ACTIVATIONS]  # fmt: skip
    found = before_reshapes(graph, tail[activated[-1] + 1 if activated else 0])
    size = graph.shape(graph.inputs[0])[1:3]
    while activated and (op := graph.producers.get(found)) is not None and op.kind in RESIZES:
        before = graph.shape(op.inputs[0])
        if graph.shape(found)[1:3] not in (size, before[1:3]):
            break
        found = before_reshapes(graph, op.inputs[0])
    return found


def shows_classes(graph: Graph, name: str) -> bool:
    """Return whether an output is made by an activation over classes or a resize of them."""
    return bool({"SOFTMAX", "ARG_MAX", *RESIZES} & _tail_kinds(graph, name))


def _tail_kinds(graph: Graph, name: str) -> set[str]:
    kinds: set[str] = set()
    while (op := graph.producers.get(name)) is not None:
        if op.kind not in SHOWS:
            break
        kinds.add(op.kind)
        name = op.inputs[0]
    return kinds


def _chosen(graph: Graph, path: Path, name: str | None) -> str:
    """Return the raw scores behind the output of that name, or those behind all of them."""
    raw = {output: raw_scores(graph, output) for output in graph.outputs}
    if name is None and len(set(raw.values())) == 1:
        return raw[graph.outputs[0]]
    if name not in raw:
        raise ConfigError(
            f"{path}: expected a model with one output, found {', '.join(raw)}; "
            "name the one to keep with --output-name"
        )
    return raw[name]


def _changes(graph: Graph, name: str) -> str:
    whole = graph.outputs == (name,)
    return "outputs named" if whole else "cut at the raw outputs, the rest left to the runtime"
