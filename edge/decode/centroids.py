"""The head `centroids`: a coarse map of where objects stand, such as FOMO's, as detections.

Cells of a class that touch, also by a corner, are one object: the box around them, the best of
their scores. Source: Edge Impulse's inferencing SDK, `ei_handle_cube` and `ei_cube_check_overlap`;
unlike there, the order in which cells are looked at changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.decode.boxes import Candidates
from edge.decode.checks import (
    cells_text,
    expect_no_anchors,
    expect_raw,
    expect_roles,
    expect_shape,
    grid_cells,
)
from edge.decode.selection import ClassScores, Scores
from edge.model.description import HeadSchema

if TYPE_CHECKING:
    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.detections import Detections

ROLE = "cells"
# Those neighbours of a cell (row, column) that stand before it.
EARLIER = ((-1, -1), (-1, 0), (-1, 1), (0, -1))


class CentroidsHead(HeadSchema, frozen=True, kw_only=True, tag="centroids"):
    """A score for each class in each of H x W cells over the input.

    Output role `cells` `(1, H, W, C)`, or `(1, H, W, 1 + C)` with the background.

    Attributes:
        activation: `none` where the graph activated them, as a softmax; else `sigmoid`.
        background: Channel 0 is "no object" and label 0 belongs to channel 1.
    """

    activation: Literal["none", "sigmoid"] = "none"
    background: bool = True

    @property
    def is_suppressed(self) -> bool:
        """Always: objects do not touch, though their boxes may overlap."""
        return True


def check(spec: ModelSpec) -> None:
    """Compare the head with the output and the labels.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(CentroidsHead)
    expect_raw(spec)
    expect_no_anchors(spec.description)
    expect_roles(spec, {ROLE}, head="a head of centroids")
    labels = len(spec.description.labels)
    background = " and background" if head.background else ""
    shape = (1, *grid_cells(ROLE, spec.outputs[ROLE]), labels + head.background)
    expect_shape(spec, ROLE, shape, reason=f"{labels} labels{background}")


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(CentroidsHead)
    background = ", channel 0 is background" if head.background else ""
    cells = cells_text(spec.outputs[ROLE])
    return [("head", f"centroids in {cells} cells, score activation {head.activation}{background}")]


class CentroidsDecoder:
    """Groups the cells of one model's map.

    Args:
        spec: The model; its head is a `CentroidsHead`.
        thresholds: Of a cell; so many candidates, the best cells, are grouped.

    Attributes:
        candidates: The objects of the last frame.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(CentroidsHead)
        rows, self._columns = spec.outputs[ROLE].shape[1:3]
        self.candidates = Candidates(thresholds.of_suppressed())
        self._selector = ClassScores(
            spec,
            [Scores(ROLE, rows * self._columns, first_class=int(head.background))],
            thresholds.score,
            activation=head.activation,
        )
        self._cell_wh = np.array(spec.description.input.size_wh) / (self._columns, rows)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what one frame shows, on the source frame; borrowed until the next call."""
        self.find(tensors)
        return self.candidates.detections(placement, clock)

    def find(self, tensors: Tensors) -> int:
        """Find the objects of one frame, by their first cell and class; return their number."""
        found = self.candidates
        found.clear()
        for cells, class_ids, scores in self._selector.select(tensors):
            found.add(cells, class_ids, scores)
        groups = _groups(
            found.cells[: found.count].tolist(),
            found.class_ids[: found.count].tolist(),
            columns=self._columns,
        )
        kept = []
        for number, rows in enumerate(groups):
            y, x = np.divmod(found.cells[rows], self._columns)
            low, high = np.array((x.min(), y.min())), np.array((x.max(), y.max())) + 1
            found.boxes[number] = np.concatenate([low * self._cell_wh, high * self._cell_wh])
            kept.append(rows[int(found.scores[rows].argmax())])
        found.count = len(kept)
        for buffer in (found.scores, found.class_ids, found.cells):
            buffer[: len(kept)] = buffer[kept]
        return found.count


def _groups(cells: list[int], class_ids: list[int], *, columns: int) -> list[list[int]]:
    """Return the candidates of each object, in their order, by the first of each.

    Some 2 µs a candidate in Python's own numbers, of which a map has a handful.
    """
    at: dict[tuple[int, int, int], list[int]] = {}
    for number, (cell, class_id) in enumerate(zip(cells, class_ids, strict=True)):
        row, column = divmod(cell, columns)
        own = [number]
        for down, right in EARLIER:
            other = at.get((row + down, column + right, class_id))
            if other is not None and other is not own:
                larger, smaller = sorted((own, other), key=len, reverse=True)
                larger += smaller
                for each in smaller:
                    place = divmod(cells[each], columns)
                    at[place[0], place[1], class_id] = larger
                own = larger
        at[row, column, class_id] = own
    groups = {id(group): sorted(group) for group in at.values()}
    return sorted(groups.values())
