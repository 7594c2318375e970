"""Candidates of heads that are grids: which cells pass, with which class and score, raw boxes.

A *cell* here is a row of the head: one anchor of one cell of a YOLO grid, one cell without anchors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.decode.candidates import Candidates
from edge.decode.grid_scores import ClassScores, ObjectnessScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.decode.grid_scores import GridScores
    from edge.model.spec import ModelSpec


BOX_SIDES = 4
# The logarithm of a side's growth, as in `edge.decode.ssd`: e^32 leaves areas finite.
MAX_EXPONENT = 32.0


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
        classes: Independent scores, or one among the classes.
        score_threshold: Least score of a candidate, in [0, 1].
        max_candidates: Most that stay, >= 1.

    Attributes:
        candidates: Those of the last frame; their `cells` count on from grid to grid.
        shapes: Rows and columns of each grid.
    """

    def __init__(
        self,
        spec: ModelSpec,
        roles: list[GridRoles],
        *,
        classes: Literal["sigmoid", "softmax"] = "sigmoid",
        score_threshold: float,
        max_candidates: int,
    ) -> None:
        self.candidates = Candidates(max_candidates)
        self.shapes = [spec.outputs[grid.boxes].shape[1:3] for grid in roles]
        self._roles = roles
        self._cells = [
            rows * columns * grid.anchors
            for (rows, columns), grid in zip(self.shapes, roles, strict=True)
        ]
        self._first_cells = np.cumsum([0, *self._cells])
        self._quants = [spec.outputs[grid.boxes].quant for grid in roles]
        self._may_be_nan = any(spec.outputs[grid.boxes].dtype.kind == "f" for grid in roles)
        self._scores = [
            _scores_of(spec, grid, cells=cells, classes=classes, score_threshold=score_threshold)
            for grid, cells in zip(roles, self._cells, strict=True)
        ]

    def select(self, heads: dict[str, NDArray[Any]]) -> int:
        """Find the candidates of one frame, without their boxes; return their number."""
        self.candidates.count = 0
        for grid, first_cell in zip(self._scores, self._first_cells, strict=False):
            grid.select(heads, first_cell=first_cell, out=self.candidates)
        return self.candidates.count

    def raw_boxes(self, heads: dict[str, NDArray[Any]], *, width: int) -> NDArray[np.float32]:
        """Return the first `width` values of each candidate's cell, dequantised, `(n, width)`."""
        count = self.candidates.count
        cells = self.candidates.cells[:count]
        real = np.empty((count, width), np.float32)
        bounds = cells.searchsorted(self._first_cells)
        for number, grid in enumerate(self._roles):
            start, end = bounds[number], bounds[number + 1]
            if start < end:
                rows = heads[grid.boxes].reshape(self._cells[number], -1)
                raw = rows.take(cells[start:end] - self._first_cells[number], axis=0)[:, :width]
                real[start:end] = self._quants[number].dequantize(raw)
        return real

    def drop_nan(self) -> int:
        """Drop the candidates without a real box; return how many are left."""
        return self.candidates.drop_nan() if self._may_be_nan else self.candidates.count


def _scores_of(
    spec: ModelSpec,
    grid: GridRoles,
    *,
    cells: int,
    classes: Literal["sigmoid", "softmax"],
    score_threshold: float,
) -> GridScores:
    if grid.objectness is None:
        return ClassScores(spec, scores=grid.scores, score_threshold=score_threshold)
    return ObjectnessScores(
        spec,
        objectness=grid.objectness,
        scores=grid.scores,
        cells=cells,
        classes=classes,
        score_threshold=score_threshold,
    )
