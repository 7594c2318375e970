"""What the outputs of a bare file may mean: for each kind of head, the readings that it allows.

A row answers "could these outputs be mine?". What another meaning of the same file would look like
too is a reading with something `unknown`: no more than a draft.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from edge.decode import classes, segmentation
from edge.decode.checks import cells_text
from edge.decode.classes import ClassesHead
from edge.decode.segmentation import (
    BINARY_CLASSES,
    MAP_AXES,
    MAX_CLASSES,
    SCORE_AXES,
    SegmentationHead,
)
from edge.model.declared import Reading, is_fixed
from edge.model.readers import box_readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge.model.declared import Declared, Terminal

MIN_CLASSES = 2
# Ops whose output is a score in [0, 1] already.
READY = {"SOFTMAX": "a softmax", "LOGISTIC": "a sigmoid"}
CLASSES_KIND = '"classes" if these are scores of classes; a box or an embedding looks the same'
CLASSES_ACTIVATION = '"softmax", "sigmoid", or "none" where the graph did it'
TEXTS = {
    "argmax": "the number of a class",
    "sigmoid": "a raw score",
    "softmax": "raw scores",
    "none": "scores",
}
# Labels of what is nothing in particular.
NOTHING = ("background", "bg", "__background__", "unlabeled", "unlabelled", "void")
MAP_KIND = '"segmentation" if each cell holds scores of classes; a depth or an image looks the same'


def of_classes(model: Declared) -> Iterator[Reading]:
    """Read a vector of scores: certain of a softmax, of others only where the file tells labels.

    A vector of sigmoids may be a box, and one of other numbers anything: an embedding, an angle. A
    flattened mask is none of these: the op that made the scores gave a vector itself.
    """
    output, told = model.only_output(), model.told
    if output is None or told.task not in ("", "classify") or not _is_vector(output.shape):
        return
    count = output.shape[-1]
    is_told = bool(told.task) or len(told.labels) == count
    is_ready = output.made_by in READY and _is_vector(output.made_shape)
    if not is_ready and output.made_shape and not _is_vector(output.made_shape):
        return
    is_ready = is_ready or told.task == "classify" or is_fixed(output.tensor)
    unknown = {} if is_told or output.made_by == "SOFTMAX" else {"head.kind": CLASSES_KIND}
    if not is_ready:
        unknown["head.activation"] = CLASSES_ACTIVATION
    made = READY.get(output.made_by, "a vector")
    yield Reading(
        ClassesHead(activation="none" if is_ready else "softmax"),
        {classes.ROLE: output.name},
        f"the output is {made} over {count} classes",
        classes=count,
        unknown=unknown,
    )


def _is_vector(shape: tuple[int, ...]) -> bool:
    return len(shape) in (2, 4) and math.prod(shape) == shape[-1] >= MIN_CLASSES


def of_segmentation(model: Declared) -> Iterator[Reading]:
    """Read one output of rows and columns as a class a cell.

    Certain are class ids that an `ARG_MAX` chose in cells of the input's own aspect (one along rows
    or columns tells where, as of a heat map), a softmax of the input's own resolution, and what
    metadata calls a segmenter. One sigmoid a cell may be a depth, a softmax of coarse cells the
    centroids of objects, and raw numbers another image: no more than a draft.
    """
    output, image, told = model.only_output(), model.image_shape, model.told
    if output is None or image is None or told.task not in ("", "segmenter"):
        return
    activation = _activation(output)
    if activation is None:
        return
    # A softmax is over the last axis of what it made, which a TRANSPOSE may have moved.
    whole = output.shape == output.made_shape and output.shape[1:3] == image[:2]
    is_sure = (activation == "argmax" and _has_aspect(output.shape, image)) or (
        output.made_by == "SOFTMAX" and whole
    )
    if told.task:
        activation, is_sure = told.facts.get("activation", activation), True
    yield Reading(
        SegmentationHead(activation=activation, background=_background(told.labels)),
        {segmentation.ROLE: output.name},
        f"the output is {TEXTS[activation]} for each of {cells_text(output.tensor)} cells",
        classes=_classes(output, activation),
        unknown={} if is_sure else {"head.kind": MAP_KIND},
    )


def _has_aspect(shape: tuple[int, ...], image: tuple[int, int, int]) -> bool:
    """Whether cells have the aspect of an image, but for a cell; of an open one nobody knows."""
    (rows, columns), (height, width, _) = shape[1:3], image
    return min(height, width) > 0 and abs(rows * width - columns * height) <= max(height, width)


def of_semantic(model: Declared) -> Iterator[Reading]:
    """Read the exporter's class map: raw scores in either layout, or class ids."""
    output, labels = model.only_output(), model.told.labels
    if output is None or model.told.task != "semantic" or len(labels) < MIN_CLASSES:
        return
    is_ids = len(output.shape) == MAP_AXES and output.tensor.dtype.kind in "iu"
    if is_ids or (len(output.shape) == SCORE_AXES and len(labels) in output.shape[1::2]):
        activation: Literal["argmax", "softmax"] = "argmax" if is_ids else "softmax"
        yield Reading(
            SegmentationHead(activation=activation, background=_background(labels)),
            {segmentation.ROLE: output.name},
            f"the output is {TEXTS[activation]} for each cell",
            classes=len(labels),
        )


def _background(labels: tuple[str, ...]) -> int | None:
    """Return the class that is nothing in particular, if a label says so."""
    return next((n for n, label in enumerate(labels) if label.lower() in NOTHING), None)


def _activation(output: Terminal) -> Literal["sigmoid", "softmax", "none", "argmax"] | None:
    """Return what an output holds if it is a class map; `None` if it can't be one."""
    axes, is_integer = len(output.shape), output.tensor.dtype.kind in "iu"
    if axes not in (MAP_AXES, SCORE_AXES) or min(output.shape[1:3]) < BINARY_CLASSES:
        return None
    if output.made_by == "ARG_MAX" and is_integer:
        return "argmax"
    if axes != SCORE_AXES or output.shape[3] > MAX_CLASSES:
        return None
    if output.made_by in ("SOFTMAX", "LOGISTIC"):
        return "none"
    return "sigmoid" if output.shape[3] == 1 else "softmax"


def _classes(output: Terminal, activation: str) -> int | None:
    """Return how many classes an output tells apart; of an `ARG_MAX`, what it read."""
    if activation != "argmax":
        return max(BINARY_CLASSES, output.shape[3])
    sides = set(output.shape[1:3])
    return next((side for side in output.made_of_shape[:0:-1] if side not in sides), None)


# What may be read from a bare file, in words.
READINGS: dict[str, Callable[[Declared], Iterable[Reading]]] = {
    "decoded": box_readings.of_decoded,
    "detections": box_readings.of_detections,
    "prototype_masks": box_readings.of_masks,
    "keypoints": box_readings.of_keypoints,
    "centroids": box_readings.of_centroids,
    "segmentation": of_segmentation,
    "segmentation of an exporter": of_semantic,
    "classes": of_classes,
}
