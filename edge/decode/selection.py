"""Which scores of a frame reach the threshold.

A *cell* here is a row of an output: one anchor of an SSD or of one cell of a YOLO grid, one cell
without anchors. Scores of 8 bits are compared as they are, and activated only where they pass. A
score that is NaN never passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge.decode.scores import Activation, Flags, Folds, every_byte, least_raw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge.decode.scores import Function
    from edge.model.spec import ModelSpec, Tensors

    # Cell, class id and score of what reaches the threshold, by cell and class.
    Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

# Cells whose classes are looked at together: their 85 columns of bytes stay in the L2 cache, and
# however many cells pass, they take no more memory.
CHUNK_CELLS = 1024


class Selector(Protocol):
    """Finds what reaches the score threshold."""

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield it, by rising cell and then class, some cells at a time."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Where the scores of one grid stand.

    Attributes:
        role: Output role, of `cells` rows that each end with the classes' scores.
        cells: Number of rows.
        objectness: Output role; `None` where there is none.
        first_class: Where in a row the classes begin.
        objectness_at: Where in a row of its output the objectness stands.
        is_turned: Rows are columns: the outputs are `(1, width, cells)`.
    """

    role: str
    cells: int
    objectness: str | None = None
    first_class: int = 0
    objectness_at: int = 0
    is_turned: bool = False


def selectors_of(
    spec: ModelSpec, grids: Sequence[Scores], threshold: float, *, activation: Function,
    objectness: Function = "sigmoid",
) -> list[Selector]:  # fmt: skip
    """Return what finds the candidates of these grids, whose cells count on from grid to grid.

    Args:
        spec: The model.
        grids: In the order in which candidates stand.
        threshold: Least score.
        activation: What the class scores are; `softmax` only where there is objectness.
        objectness: What the objectness is.
    """
    selectors: list[Selector] = []
    first = 0
    for has_objectness, group in groupby(grids, lambda grid: grid.objectness is not None):
        some = list(group)
        if not has_objectness:
            found: Selector = ClassScores(
                spec, some, threshold, activation=activation, first_cell=first
            )
            selectors.append(found)
        for grid in some:
            if has_objectness:
                functions = objectness, activation
                found = ObjectnessScores(
                    spec, grid, threshold, functions=functions, first_cell=first
                )
                selectors.append(found)
            first += grid.cells
    return selectors


class ClassScores:
    """Class scores alone, each for itself (SSD, YOLOv6, v8).

    Args:
        spec: The model.
        grids: All of as wide rows, or one alone where rows are columns.
        threshold: Least score.
        activation: Of the scores, `sigmoid` or `none`.
        first_cell: Number of the first cell.
    """

    def __init__(
        self, spec: ModelSpec, grids: Sequence[Scores], threshold: float, *,
        activation: Function, first_cell: int = 0,
    ) -> None:  # fmt: skip
        self._first_cell = first_cell
        self._first_class = first_class = grids[0].first_class
        self._cells, self._is_turned = grids[0].cells, grids[0].is_turned
        self._columns = math.prod(spec.outputs[grids[0].role].shape) // self._cells
        # What stands in front of the classes, the box or the background, is passed over: where rows
        # are columns it is not looked at, else it is in between.
        self._start = first_class * self._cells if self._is_turned else 0
        self._grids: list[tuple[str, Flags | Folds, np.generic, Activation, int]] = []
        before = 0
        for grid in grids:
            tensor = spec.outputs[grid.role]
            least = least_raw(tensor, threshold, activation)
            size = grid.cells * self._columns
            if least is not None:
                is_whole = self._is_turned or not first_class
                if is_whole and tensor.dtype.kind != "f":
                    search: Flags | Folds = Folds(size - self._start, tensor.dtype)
                else:
                    search = Flags(size - self._start)
                activate = Activation(tensor, activation)
                self._grids.append((grid.role, search, least, activate, before))
            before += size

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield what reaches the threshold."""
        places, scores = [], []
        for role, search, least, activate, before in self._grids:
            flat, found = self._passing(tensors[role], search, least)
            if len(flat):
                scores.append(activate(found))
                places.append(flat + before)
        if places:
            yield self._found(_joined(places), _joined(scores))

    def _passing(
        self, tensor: NDArray[Any], search: Flags | Folds, least: np.generic
    ) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return where values reach the least, and those values."""
        if not (self._is_turned or isinstance(search, Folds) or tensor.flags.c_contiguous):
            # Rows with another's values behind them, a view: not flattened, which would copy it.
            rows, first = tensor.reshape(-1, self._columns), self._first_class
            passes = search.each.reshape(rows.shape)
            np.greater_equal(rows[:, first:], least, out=passes[:, first:])
            flat = search.positions()
            return flat, rows[flat // self._columns, flat % self._columns]
        raw = tensor.reshape(-1)[self._start :]
        if isinstance(search, Folds):
            flat = search.positions(raw, least)
        else:
            np.greater_equal(raw, least, out=search.each)
            if not self._is_turned:
                for column in range(self._first_class):
                    search.each[column :: self._columns] = False
            flat = search.positions()
        return flat, raw.take(flat)

    def _found(self, flat: NDArray[np.int64], scores: NDArray[np.float32]) -> Found:
        if self._is_turned:
            class_ids = flat // self._cells
            cells = flat - class_ids * self._cells
            order = (cells * self._columns + class_ids).argsort()
            return cells[order] + self._first_cell, class_ids[order], scores[order]
        cells = flat // self._columns  # and not `divmod`, which is three times as slow
        class_ids = flat - cells * self._columns
        class_ids -= self._first_class
        cells += self._first_cell
        return cells, class_ids, scores


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class ObjectnessScores:
    """Objectness times the class, neither ever over 1; every class counts.

    The classes of a cell whose objectness alone fails the threshold are never looked at.

    Args:
        spec: The model.
        grid: Its objectness is not `None`.
        threshold: Least score.
        functions: What the objectness is, and what the classes are.
        first_cell: Number of the first cell.
    """

    def __init__(
        self, spec: ModelSpec, grid: Scores, threshold: float, *,
        functions: tuple[Function, Function], first_cell: int = 0,
    ) -> None:  # fmt: skip
        self._grid = grid
        self._objectness_role = grid.objectness or ""
        objectness, scores = spec.outputs[self._objectness_role], spec.outputs[grid.role]
        self._first_cell = first_cell
        self._threshold = np.float32(threshold)
        self._activate = Activation(objectness, functions[0])
        self._activate_classes = Activation(scores, functions[1])
        self._least = least_raw(objectness, threshold, functions[0])
        # Of 8 bits, for each byte of objectness the least of a class that reaches it.
        self._least_class: NDArray[Any] | None = None
        if self._activate.table is not None and self._activate_classes.table is not None:
            products = np.multiply.outer(self._activate.table, self._activate_classes.table)
            reaches = products >= self._threshold  # (256, 256)
            able = every_byte(objectness.dtype)[reaches.any(axis=1)]
            self._least = able.min() if len(able) else None
            # The greatest stands where no class reaches it, and is not asked for.
            values, greatest = every_byte(scores.dtype), np.iinfo(scores.dtype).max
            least_class = np.where(reaches, values, greatest).min(axis=1)  # (256,)
            self._least_class = least_class.astype(scores.dtype)
        self._passes = np.zeros(grid.cells, np.bool_)
        width = math.prod(scores.shape) // grid.cells
        self._rows = np.empty((min(grid.cells, CHUNK_CELLS), width), scores.dtype)

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield what reaches the threshold, of so many cells at a time."""
        if self._least is None:
            return
        grid = self._grid
        objectness = self._table(tensors[self._objectness_role])[:, grid.objectness_at]
        np.greater_equal(objectness, self._least, out=self._passes)
        passing = self._passes.nonzero()[0]
        rows = self._table(tensors[grid.role])
        for start in range(0, len(passing), CHUNK_CELLS):
            cells = passing[start : start + CHUNK_CELLS]
            raw = self._rows[: len(cells)]
            if not rows.flags.c_contiguous:
                raw[:] = rows[cells]
            else:
                # "clip" is the mode in which `take` writes straight into `out`.
                rows.take(cells, axis=0, out=raw, mode="clip")
            found, class_ids, scores = self._find(objectness[cells], raw)
            if len(found):
                yield cells[found] + self._first_cell, class_ids, scores

    def _table(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return a tensor as rows, `(cells, width)`, a view."""
        cells = self._grid.cells
        return tensor.reshape(-1, cells).T if self._grid.is_turned else tensor.reshape(cells, -1)

    def _find(self, objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        """Find the classes in `(m, width)` rows beside `(m,)` objectness, none below the least."""
        first_class = self._grid.first_class
        if self._least_class is None:
            scores = self._activate_classes(raw[:, first_class:])  # (m, C)
            scores *= self._activate(objectness)[:, None]
            rows, class_ids = (scores >= self._threshold).nonzero()
            return rows, class_ids, scores[rows, class_ids]
        passes = raw >= self._least_class.take(objectness.view(np.uint8))[:, None]  # (m, width)
        passes[:, :first_class] = False
        flat = passes.reshape(-1).nonzero()[0]  # (n,)
        rows = flat // raw.shape[1]
        class_ids = flat - rows * raw.shape[1]
        class_ids -= first_class
        found = self._activate(objectness.take(rows))
        found *= self._activate_classes(raw.reshape(-1).take(flat))
        return rows, class_ids, found
