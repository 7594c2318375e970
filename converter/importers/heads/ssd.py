"""SSD heads: raw boxes and scores of all anchors, with their decode in the file or told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from flatbuffers import flexbuffers

from converter.draft import Draft
from converter.graph.foreign import POSTPROCESS
from converter.importers.heads.raw import cut_at
from edge.decode.boxes import BOX_SIDES
from edge.decode.ssd import SsdHead
from edge.errors import ConfigError, ModelError
from edge.record import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.choice import Choice
    from converter.graph.values import Graph, Op

ANCHOR_AXES = 3


def find_ssd(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return an SSD up to its raw boxes and scores.

    Raises:
        ConfigError: The file does not say its anchors or box scales, and the person does not.
        ModelError: There are no such outputs.
    """
    decode = next((op for op in graph.ops if op.kind == POSTPROCESS), None)
    if decode is not None:
        return _decoded(graph, decode, path)
    boxes, scores = roles_of(graph, path)
    raw, activation = _before_sigmoid(graph, scores)
    anchors = _told_anchors(path, choice, count=graph.shape(boxes)[1])
    if choice.box_scales is None:
        raise ConfigError(
            f"{path}: the file does not say the divisors of its boxes, so you must: --box-scales "
            "10,10,5,5 (the variances 0.1, 0.1, 0.2, 0.2) or others"
        )
    head = read(
        SsdHead,
        {"box_scales": list(choice.box_scales), "activation": activation, "background": True},
    )
    outputs = {"boxes": boxes, "scores": raw}
    sources = {role: (name, None) for role, name in outputs.items()}
    return Draft(cut_at(graph, outputs), head, anchors, sources=sources)


def roles_of(graph: Graph, path: Path) -> tuple[str, str]:
    """Return which outputs are an SSD's boxes `(1, A, 4)` and scores `(1, A, C)`.

    Raises:
        ModelError: They are not these two.
    """
    shapes = {name: graph.shape(name) for name in graph.outputs}
    rows = [name for name, shape in shapes.items() if len(shape) == ANCHOR_AXES]
    boxes = [name for name in rows if shapes[name][2] == BOX_SIDES]
    scores = [name for name in rows if shapes[name][2] != BOX_SIDES]
    if len(shapes) != 2 or len(boxes) != 1 or len(scores) != 1:  # noqa: PLR2004 - one of each
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ModelError(
            f"{path}: expected raw boxes (1, anchors, 4) and scores (1, anchors, classes), "
            f"found {listed}; export the model with its raw heads"
        )
    return boxes[0], scores[0]


def _decoded(graph: Graph, op: Op, path: Path) -> Draft:
    """Cut before the op that decodes and suppresses: it holds anchors and box scales.

    As TensorFlow's Object Detection API and Model Maker export it. Source:
    `detection_postprocess.cc` of TensorFlow Lite: inputs are boxes, scores and anchors, the latter
    centre-size (y, x, h, w); options `y_scale` to `w_scale` and `num_classes`.
    """
    boxes, scores, stored = op.inputs[:3]
    anchors = graph.value(stored)
    if anchors is None or anchors.dtype != np.float32 or anchors.shape[1:] != (BOX_SIDES,):
        raise ModelError(f"{path}: expected {POSTPROCESS} with float32 anchors, found none")
    options = flexbuffers.Loads(op.custom)
    raw, activation = _before_sigmoid(graph, scores)
    head = read(
        SsdHead,
        {
            "box_scales": [float(options[f"{side}_scale"]) for side in "yxhw"],
            "activation": activation,
            "background": graph.shape(scores)[-1] == int(options["num_classes"]) + 1,
        },
    )
    return Draft(cut_at(graph, {"boxes": boxes, "scores": raw}), head, np.array(anchors))


def _before_sigmoid(graph: Graph, name: str) -> tuple[str, str]:
    op = graph.producers.get(name)
    if op is not None and op.kind == "LOGISTIC":
        return op.inputs[0], "sigmoid"
    return name, "none"


def _told_anchors(path: Path, choice: Choice, *, count: int) -> NDArray[np.float32]:
    """Return the anchors that the person gives: a `.npy`, or text of four numbers a line."""
    if choice.anchors is None:
        raise ConfigError(
            f"{path}: the file does not say its anchors, so you must: --anchors FILE, a .npy or "
            f"text of {count} rows: centre y, centre x, height, width, each from 0 to 1"
        )
    source = Path(choice.anchors)
    try:
        if source.suffix == ".npy":
            anchors = np.load(source, allow_pickle=False)
        else:
            anchors = np.loadtxt(source, delimiter="," if "," in source.read_text() else None)
        anchors = np.asarray(anchors, np.float32)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: expected anchors, which cannot be read: {error}") from error
    if anchors.shape != (count, BOX_SIDES) or not np.isfinite(anchors).all():
        raise ConfigError(f"{source}: expected anchors ({count}, 4), found {anchors.shape}")
    return anchors
