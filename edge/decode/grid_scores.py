"""The scores of one grid's cells: thresholded as they are, activated only where they pass.

Where there is an objectness, a score is ``sigmoid(objectness) * class`` and no class exceeds 1: the
classes of a cell whose objectness alone fails the threshold are never looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edge.decode.activation import Activation, least_raw, logit
from edge.decode.cell_classes import SigmoidClasses, SoftmaxClasses
from edge.decode.flags import Flags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.decode.candidates import Candidates
    from edge.model.spec import ModelSpec

# Of a combined row: tx, ty, tw, th, objectness, classes.
COMBINED_OBJECTNESS, COMBINED_CLASSES = 4, 5
# Cells whose classes are looked at together: their 85 columns of bytes stay in the L2 cache, and
# however many cells pass, they take no more memory.
CHUNK_CELLS = 1024


class GridScores(Protocol):
    """Adds the candidates of one grid to those of the grids before it."""

    def select(self, heads: dict[str, NDArray[Any]], *, first_cell: int, out: Candidates) -> None:
        """Add what reaches the threshold; the grid's first row has the number `first_cell`."""


class ClassScores:
    """Class scores alone, each a sigmoid (YOLOv6, v8).

    Args:
        spec: The model.
        scores: Output role, `(1, H, W, C)`.
        score_threshold: Least score, compared in float32.
    """

    def __init__(self, spec: ModelSpec, *, scores: str, score_threshold: float) -> None:
        tensor = spec.outputs[scores]
        self._role = scores
        self._classes = tensor.shape[-1]
        self._least = least_raw(tensor, logit(score_threshold))
        self._activate = Activation(tensor, "sigmoid")
        self._passes = Flags(math.prod(tensor.shape))

    def select(self, heads: dict[str, NDArray[Any]], *, first_cell: int, out: Candidates) -> None:
        """Add what reaches the threshold; the grid's first row has the number `first_cell`."""
        if self._least is None:
            return
        raw = heads[self._role].reshape(-1)  # (cells * C,)
        np.greater_equal(raw, self._least, out=self._passes.each)
        flat = self._passes.positions()  # (n,)
        if len(flat):
            cells = flat // self._classes
            class_ids = flat - cells * self._classes
            cells += first_cell
            out.add(cells, class_ids, self._activate(raw[flat]))


class ObjectnessScores:
    """Objectness, a sigmoid, times the class; every class that reaches the threshold counts.

    Args:
        spec: The model.
        objectness: Output role, `(1, H, W, B)`; of a combined head the same as `scores`.
        scores: Output role, `(1, H, W, B * C)`, or combined `(1, H, W, B * (5 + C))`.
        cells: H * W * B, rows of either.
        classes: Independent (YOLOv3 to v7, YOLOX), or one among them (YOLOv2).
        score_threshold: Least score, compared in float32.
    """

    def __init__(  # noqa: PLR0913 - the numbers of one grid, by name
        self,
        spec: ModelSpec,
        *,
        objectness: str,
        scores: str,
        cells: int,
        classes: Literal["sigmoid", "softmax"],
        score_threshold: float,
    ) -> None:
        is_combined = objectness == scores
        tensor = spec.outputs[scores]
        self._objectness_role, self._scores_role = objectness, scores
        self._cells = cells
        self._column = COMBINED_OBJECTNESS if is_combined else 0
        self._classes = (SoftmaxClasses if classes == "softmax" else SigmoidClasses)(
            spec.outputs[objectness],
            tensor,
            first_class=COMBINED_CLASSES if is_combined else 0,
            score_threshold=score_threshold,
        )
        self._passes = np.zeros(cells, np.bool_)
        width = math.prod(tensor.shape) // cells
        self._rows = np.empty((min(cells, CHUNK_CELLS), width), tensor.dtype)

    def select(self, heads: dict[str, NDArray[Any]], *, first_cell: int, out: Candidates) -> None:
        """Add what reaches the threshold; the grid's first row has the number `first_cell`."""
        least = self._classes.least_objectness
        if least is None:
            return
        objectness = heads[self._objectness_role].reshape(self._cells, -1)[:, self._column]
        np.greater_equal(objectness, least, out=self._passes)
        passing = self._passes.nonzero()[0]
        rows = heads[self._scores_role].reshape(self._cells, -1)
        for start in range(0, len(passing), CHUNK_CELLS):
            cells = passing[start : start + CHUNK_CELLS]
            # "clip" is the mode in which `take` writes straight into `out`.
            raw = rows.take(cells, axis=0, out=self._rows[: len(cells)], mode="clip")
            found, class_ids, scores = self._classes.find(objectness[cells], raw)
            if len(found):
                out.add(cells[found] + first_cell, class_ids, scores)
