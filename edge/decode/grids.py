"""Candidates of heads that are grids: which cells pass, with which class and score, raw boxes.

A *cell* here is a row of the output: one anchor of one cell of a YOLO grid, one cell without
anchors. Scores are thresholded as they are, and activated only where they pass. Where there is an
objectness, a score is ``sigmoid(objectness) * class`` and no class exceeds 1: the classes of a cell
whose objectness alone fails the threshold are never looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.decode.activation import (
    Activation,
    every_byte,
    least_raw,
    logit,
    make_quiet_inplace,
    sigmoid_inplace,
    softmax,
)
from edge.decode.candidates import Candidates, Flags
from edge.model.quant import TIE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

    # From raw objectness `(m,)` to the least raw score of a class beside it, `(m,)`.
    LeastClass = Callable[[NDArray[Any]], NDArray[Any]]
    # From raw objectness `(m,)`, none below the least, and raw rows `(m, width)` to row, class id
    # and score of all that reaches the threshold, by row and class.
    Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
    FindClasses = Callable[[NDArray[Any], NDArray[Any]], Found]

BOX_SIDES = 4
# The logarithm of a side's growth, as in `edge.decode.ssd`: e^32 leaves areas finite.
MAX_EXPONENT = 32.0
# Of a combined row: tx, ty, tw, th, objectness, classes.
COMBINED_OBJECTNESS, COMBINED_CLASSES = 4, 5
# Cells whose classes are looked at together: their 85 columns of bytes stay in the L2 cache, and
# however many cells pass, they take no more memory.
CHUNK_CELLS = 1024


@dataclass(frozen=True, slots=True)
class GridRoles:
    """The output roles of one grid; one and the same for all three in a combined YOLO head.

    Attributes:
        boxes: Whose rows begin with the raw box.
        objectness: `None` where the head has none.
        scores: Whose rows end with the raw class scores.
        anchors: Of each cell, >= 1.
    """

    boxes: str
    objectness: str | None
    scores: str
    anchors: int = 1


class Grids:
    """Selects the candidates of all grids of one model, in the order of grids and cells.

    Args:
        spec: The model.
        roles: Of each grid.
        thresholds: Of a candidate.
        classes: Independent scores (YOLOv3 and later), or one among the classes (YOLOv2).

    Attributes:
        candidates: Those of the last frame; their `cells` count on from grid to grid.
        shapes: Rows and columns of each grid.
    """

    def __init__(
        self,
        spec: ModelSpec,
        roles: Sequence[GridRoles],
        thresholds: Thresholds,
        *,
        classes: Literal["sigmoid", "softmax"] = "sigmoid",
    ) -> None:
        self.candidates = Candidates(thresholds)
        self.shapes = [spec.outputs[grid.boxes].shape[1:3] for grid in roles]
        self._roles = roles
        self._cells = [
            math.prod(shape) * grid.anchors for shape, grid in zip(self.shapes, roles, strict=True)
        ]
        self._first_cells = np.cumsum([0, *self._cells])
        self._quants = [spec.outputs[grid.boxes].quant for grid in roles]
        self._may_be_nan = any(spec.outputs[grid.boxes].dtype.kind == "f" for grid in roles)
        self._selectors = [
            _ClassScores(spec, grid, thresholds.score)
            if grid.objectness is None
            else _ObjectnessScores(spec, grid, thresholds.score, cells=cells, classes=classes)
            for grid, cells in zip(roles, self._cells, strict=True)
        ]

    def select(self, tensors: Tensors) -> int:
        """Find the candidates of one frame, without their boxes; return their number."""
        self.candidates.count = 0
        for selector, first_cell in zip(self._selectors, self._first_cells, strict=False):
            selector.select(tensors, first_cell, self.candidates)
        return self.candidates.count

    def raw_boxes(self, tensors: Tensors, *, width: int) -> NDArray[np.float32]:
        """Return the first `width` values of each candidate's cell, dequantised, `(n, width)`.

        NaN among them is a quiet one, which no later operation warns of.
        """
        count = self.candidates.count
        cells = self.candidates.cells[:count]
        real = np.empty((count, width), np.float32)
        bounds = cells.searchsorted(self._first_cells)
        for number, grid in enumerate(self._roles):
            start, end = bounds[number], bounds[number + 1]
            if start < end:
                rows = tensors[grid.boxes].reshape(self._cells[number], -1)
                raw = rows.take(cells[start:end] - self._first_cells[number], axis=0)[:, :width]
                real[start:end] = self._quants[number].dequantize(raw)
        if self._may_be_nan:
            make_quiet_inplace(real)
        return real

    def drop_nan(self) -> int:
        """Drop the candidates without a real box; return how many are left."""
        return self.candidates.drop_nan() if self._may_be_nan else self.candidates.count


class _ClassScores:
    """One grid of class scores alone, each a sigmoid (YOLOv6, v8)."""

    def __init__(self, spec: ModelSpec, grid: GridRoles, score_threshold: float) -> None:
        tensor = spec.outputs[grid.scores]
        self._role = grid.scores
        self._classes = tensor.shape[-1]
        self._least = least_raw(tensor, logit(score_threshold))
        self._activate = Activation(tensor, "sigmoid")
        self._passes = Flags(math.prod(tensor.shape))

    def select(self, tensors: Tensors, first_cell: int, out: Candidates) -> None:
        """Add what reaches the threshold; the grid's first row has the number `first_cell`."""
        if self._least is None:
            return
        raw = tensors[self._role].reshape(-1)  # (cells * C,)
        np.greater_equal(raw, self._least, out=self._passes.each)
        flat = self._passes.positions()  # (n,)
        if len(flat):
            cells = flat // self._classes
            class_ids = flat - cells * self._classes
            cells += first_cell
            out.add(cells, class_ids, self._activate(raw[flat]))


class _ObjectnessScores:
    """One grid of objectness, a sigmoid, times the class; every class that reaches it counts."""

    def __init__(
        self,
        spec: ModelSpec,
        grid: GridRoles,
        score_threshold: float,
        *,
        cells: int,
        classes: Literal["sigmoid", "softmax"],
    ) -> None:
        self._objectness_role = grid.objectness or ""
        self._scores_role = grid.scores
        objectness, scores = spec.outputs[self._objectness_role], spec.outputs[grid.scores]
        is_combined = grid.objectness == grid.scores
        first_class = COMBINED_CLASSES if is_combined else 0
        self._column = COMBINED_OBJECTNESS if is_combined else 0
        self._cells = cells
        find = _softmax_classes if classes == "softmax" else _sigmoid_classes
        self._least, self._find = find(
            objectness, scores, first_class=first_class, score_threshold=score_threshold
        )
        self._passes = np.zeros(cells, np.bool_)
        width = math.prod(scores.shape) // cells
        self._rows = np.empty((min(cells, CHUNK_CELLS), width), scores.dtype)

    def select(self, tensors: Tensors, first_cell: int, out: Candidates) -> None:
        """Add what reaches the threshold; the grid's first row has the number `first_cell`."""
        if self._least is None:
            return
        objectness = tensors[self._objectness_role].reshape(self._cells, -1)[:, self._column]
        np.greater_equal(objectness, self._least, out=self._passes)
        passing = self._passes.nonzero()[0]
        rows = tensors[self._scores_role].reshape(self._cells, -1)
        for start in range(0, len(passing), CHUNK_CELLS):
            cells = passing[start : start + CHUNK_CELLS]
            # "clip" is the mode in which `take` writes straight into `out`.
            raw = rows.take(cells, axis=0, out=self._rows[: len(cells)], mode="clip")
            found, class_ids, scores = self._find(objectness[cells], raw)
            if len(found):
                out.add(cells[found] + first_cell, class_ids, scores)


def _sigmoid_classes(
    objectness: TensorSpec, scores: TensorSpec, *, first_class: int, score_threshold: float
) -> tuple[np.generic | None, FindClasses]:
    """Return the least raw objectness beside which a class may pass, and what finds the classes.

    Independent classes: each cell's objectness says what its least raw class score is.
    """
    activate_objectness, activate_scores = (
        Activation(objectness, "sigmoid"),
        Activation(scores, "sigmoid"),
    )
    least_objectness = least_raw(objectness, logit(score_threshold))
    least_class = _least_by_formula(objectness, scores, score_threshold)
    if activate_objectness.table is not None and activate_scores.table is not None:
        products = np.multiply.outer(activate_objectness.table, activate_scores.table)
        reaches = products >= np.float32(score_threshold)  # (256, 256)
        able = every_byte(objectness.dtype)[reaches.any(axis=1)]
        least_objectness = able.min() if len(able) else None
        least_class = _least_by_table(scores.dtype, reaches)

    def find(raw_objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        width = raw.shape[1]
        passes = raw >= least_class(raw_objectness)[:, None]  # (m, width)
        passes[:, :first_class] = False
        flat = passes.reshape(-1).nonzero()[0]  # (n,)
        rows = flat // width
        class_ids = flat - rows * width
        class_ids -= first_class
        found = activate_objectness(raw_objectness[rows])
        found *= activate_scores(raw.reshape(-1)[flat])
        return rows, class_ids, found

    return least_objectness, find


def _softmax_classes(
    objectness: TensorSpec, scores: TensorSpec, *, first_class: int, score_threshold: float
) -> tuple[np.generic | None, FindClasses]:
    """Return as `_sigmoid_classes` does: one among the classes, a softmax of every cell asked."""
    activate = Activation(objectness, "sigmoid")
    threshold = np.float32(score_threshold)

    def find(raw_objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        found = softmax(scores.quant.dequantize(raw[:, first_class:]))  # (m, C)
        found *= activate(raw_objectness)[:, None]
        rows, class_ids = (found >= threshold).nonzero()
        return rows, class_ids, found[rows, class_ids]

    return least_raw(objectness, logit(score_threshold)), find


def _least_by_table(dtype: np.dtype[Any], reaches: NDArray[np.bool_]) -> LeastClass:
    """Return the answer for 8 bits, looked up.

    Args:
        dtype: Of the classes.
        reaches: `(256, 256)`: whether this byte of objectness and that of a class reach it.
    """
    greatest = np.iinfo(dtype).max  # stands where no class reaches it, and is not asked for
    least = np.where(reaches, every_byte(dtype), greatest).min(axis=1).astype(dtype)  # (256,)
    return lambda objectness: least.take(objectness.view(np.uint8))


def _least_by_formula(
    objectness: TensorSpec, scores: TensorSpec, score_threshold: float
) -> LeastClass:
    """Return the answer for any dtype, computed: ``logit(score_threshold / objectness)``."""

    def least_class(raw: NDArray[Any]) -> NDArray[Any]:
        share: NDArray[np.float64] = objectness.quant.dequantize(raw).astype(np.float64)
        sigmoid_inplace(share)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 too, where the threshold is 0
            share = score_threshold / share if score_threshold > 0 else np.zeros_like(share)
            # Of a share over 1 NaN, which nothing reaches.
            real: NDArray[np.float64] = np.log(share / (1 - share))
        if scores.dtype.kind == "f":
            return real.astype(np.float32)
        info = np.iinfo(scores.dtype)
        steps = np.ceil(real / scores.quant.scale + (scores.quant.zero_point - TIE_TOLERANCE))
        np.nan_to_num(steps, copy=False, nan=np.inf)
        np.clip(steps, info.min, info.max + 1, out=steps)
        return steps.astype(np.int32)

    return least_class
