"""Heads of a whole frame: one row of class scores, or the image itself again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from converter.draft import GREY, Draft
from converter.importers.heads.maps import (
    ACTIVATIONS,
    chosen,
    cut_in_words,
    raw_scores,
    shows_classes,
    tail,
)
from converter.importers.heads.raw import NHWC, before_reshapes, cut_at
from edge.decode.anomaly import MAX_ERROR, AnomalyHead
from edge.decode.classes import ClassesHead
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.graph.values import Graph

Told = tuple[str | None, str]
FUNCTIONS: dict[str, Literal["softmax", "sigmoid"]] = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
# The last activation of a net that gives pixels back.
BOUNDED = ("LOGISTIC", "TANH")


def find_classes(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return a classifier up to its raw scores: the activation is the runtime's.

    Raises:
        ConfigError: There are several outputs, or no activation, and nobody says which.
        ModelError: What is found is no row of scores.
    """
    output = chosen(graph, path, choice.output)
    found = _functions(graph, output)
    if choice.activation and found:
        raise ConfigError(
            f"{path}: its graph ends in a {found[-1]}; leave out --activation {choice.activation}"
        )
    # Several in a row, or a softmax of another temperature, are the net's own business.
    is_ready = len(found) > 1 or _is_tempered(graph, output)
    name = output if is_ready else raw_scores(graph, output)
    shape = graph.shape(name)
    if not is_row(shape):
        raise ModelError(
            f"{path}: expected one row of class scores, (1, classes), found {shape} in {name!r}; "
            "give a classifier, or another --family"
        )
    activation = choice.activation or (found[0] if found else None)
    if activation is None:
        raise ConfigError(
            f"{path}: its graph ends in raw scores of {shape[-1]} classes, so you must say what "
            "makes them likelihoods: --activation softmax (one class an image), or sigmoid (any)"
        )
    return Draft(
        cut_at(graph, {"scores": name}),
        ClassesHead(activation="none" if is_ready else activation),
        changes=cut_in_words(graph, name),
        sources={"scores": (name, None)},
    )


def find_reconstruction(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return an autoencoder whole: its output is compared with its input.

    From which error on an image is an anomaly is measured later, on images.

    Raises:
        ConfigError: There are several outputs, and none is named.
        ModelError: The output has not the shape of the input.
    """
    name = chosen(graph, path, choice.output)
    shape, image = graph.shape(name), graph.shape(graph.inputs[0])
    if shape != image:
        raise ModelError(
            f"{path}: expected an output of the input's shape, {image}, found {shape} in {name!r}; "
            "give an autoencoder of images, or another --family"
        )
    return Draft(
        cut_at(graph, {"reconstruction": name}),
        AnomalyHead(threshold=MAX_ERROR),
        changes="outputs named",
        sources={"reconstruction": (name, None)},
    )


def is_row(shape: tuple[int, ...]) -> bool:
    """Return whether a tensor is one row of numbers."""
    return bool(shape) and all(side == 1 for side in shape[:-1])


def told_of_whole(graph: Graph, output: str) -> Told | None:
    """Tell a classifier or an autoencoder by its one output; `None` where it is neither.

    A row is one of class scores where a softmax made it: without, it may be anything.
    """
    count = graph.shape(raw_scores(graph, output))[-1:]
    if not is_row(graph.shape(raw_scores(graph, output))) or count == (1,):
        return _told_of_image(graph, output)
    if "softmax" in _functions(graph, output):
        return "classifier", f"its output is a softmax of {count[0]} scores"
    return None, f"its output, a row of {count[0]} numbers, may be class scores or anything else"


def _told_of_image(graph: Graph, output: str) -> Told | None:
    """Tell an autoencoder from a segmenter whose map is as large as the image.

    A segmenter keeps a way around its narrowest place, so that borders stay sharp; through an
    autoencoder the whole image goes in fewer numbers than it has. `None` where it is none.
    """
    shape = graph.shape(output)
    if len(shape) != NHWC or shape != graph.shape(graph.inputs[0]) or shows_classes(graph, output):
        return None
    op = graph.producers[before_reshapes(graph, output)]
    is_pixels = shape[3] != GREY and (op.kind in BOUNDED or op.activation in BOUNDED)
    is_narrow = _narrows(graph, output)
    if is_pixels and is_narrow:
        return "autoencoder", f"its output is as its image, {shape}, through fewer numbers"
    if is_pixels or is_narrow:
        return None, f"its output, of its image's shape {shape}, may be the image again or a map"
    return None


def _functions(graph: Graph, output: str) -> list[Literal["softmax", "sigmoid"]]:
    """Return the activations that an output's last ops are, from the output back."""
    kinds = [graph.producers[name].kind for name in tail(graph, output)[:-1]]
    return [FUNCTIONS[kind] for kind in kinds if kind in ACTIVATIONS and kind in FUNCTIONS]


def _is_tempered(graph: Graph, output: str) -> bool:
    ops = [graph.producers[name] for name in tail(graph, output)[:-1]]
    return any(op.kind == "SOFTMAX" and op.options.get("beta", 1) != 1 for op in ops)


def _narrows(graph: Graph, output: str) -> bool:
    """Return whether all ways from the image to an output go through one smaller tensor."""
    image = graph.inputs[0]
    before = {image: 1}
    for op in graph.ops:
        before |= dict.fromkeys(op.outputs, sum(before.get(name, 0) for name in op.inputs))
    behind = {output: 1}
    for op in reversed(graph.ops):
        ways = sum(behind.get(name, 0) for name in op.outputs)
        for name in op.inputs:
            behind[name] = behind.get(name, 0) + ways
    return any(
        ways * behind.get(name, 0) == before[output]
        and math.prod(graph.shape(name)) < math.prod(graph.shape(image))
        for name, ways in before.items()
        if ways
    )
