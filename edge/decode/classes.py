"""The head `classes`: one score a class for the whole frame, the best few of them.

Sigmoid and ready scores are thresholded as they are quantised; softmax needs every one of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from msgspec import Meta

from edge.decode.checks import Misfit, expect_no_anchors, expect_raw, expect_roles
from edge.decode.scores import Activation, best_rows, least_raw
from edge.model.description import HeadSchema
from edge.results.classes import Classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors

ROLE = "scores"
TOP = 5


class ClassesHead(HeadSchema, frozen=True, kw_only=True, tag="classes"):
    """A score for each class in the output role `scores`, `(1, C)` or `(1, 1, 1, C)`.

    Attributes:
        activation: What the output holds: raw scores of one among the classes (`softmax`), of
            independent ones (`sigmoid`), or scores in [0, 1] that the graph made (`none`).
        top: Most classes of one frame.
    """

    activation: Literal["softmax", "sigmoid", "none"]
    top: Annotated[int, Meta(ge=1, le=1000)] = TOP


def check(spec: ModelSpec) -> None:
    """Compare the head with the output and the labels.

    Raises:
        Misfit: They disagree.
    """
    spec.description.head_as(ClassesHead)
    expect_raw(spec)
    expect_no_anchors(spec.description)
    expect_roles(spec, {ROLE}, head="a head of classes")
    shape, labels = spec.outputs[ROLE].shape, len(spec.description.labels)
    if math.prod(shape) != labels or shape[-1:] != (labels,):
        raise Misfit(
            f"output {ROLE} is {shape}, but {labels} labels need (1, {labels}) or "
            f"(1, 1, 1, {labels})"
        )


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(ClassesHead)
    return [("head", f"classes, activation {head.activation}, the best {head.top}")]


class ClassesDecoder:
    """Decodes the output of one model.

    NaN never passes, and of a softmax with NaN among its values nothing does.

    Args:
        spec: The model; its head is a `ClassesHead`.
        thresholds: `score` is the least of a class.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(ClassesHead)
        output = spec.outputs[ROLE]
        self._top = head.top
        self._threshold = np.float32(thresholds.score)
        self._is_softmax = head.activation == "softmax"
        self._least = least_raw(output, thresholds.score, head.activation)
        self._activate = Activation(output, head.activation)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Classes:  # noqa: ARG002 - a class is of the whole frame
        """Return the best classes of one frame; nothing made here outgrows their number."""
        raw = tensors[ROLE].reshape(-1)  # (C,)
        ids, scores = self._of_softmax(raw) if self._is_softmax else self._passing(raw)
        if len(ids) > self._top:
            best = best_rows(scores, keep=self._top)
            ids, scores = ids[best], scores[best]
        order = np.argsort(-scores, kind="stable")
        seen = Classes(ids[order].astype(np.int32), scores[order])
        clock.lap("decode")
        return seen

    def _of_softmax(self, raw: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        scores = self._activate(raw)
        ids = (scores >= self._threshold).nonzero()[0]
        return ids, scores[ids]

    def _passing(self, raw: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self._least is None:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        ids = (raw >= self._least).nonzero()[0]
        return ids, self._activate(raw[ids])
