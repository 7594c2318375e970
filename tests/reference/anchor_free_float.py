"""Anchor-free decoding by the book: dequantise everything, look at one cell and class at a time.

Shares no code with `edge.decode`. Source: Ge et al. 2021, section 2.1; Tian et al. 2019, eq. 1;
Li et al. 2020, eq. 3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.float_heads import (
    MAX_CELLS,
    MAX_EXPONENT,
    Candidate,
    clamp,
    real_values,
    sigmoid,
    softmax,
    sound,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.decode.anchor_free import AnchorFreeHead
    from edge.model.spec import ModelSpec


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every candidate that reaches the threshold, by grid and cell, then by class."""
    found = []
    for grid in spec.description.head.grids:
        boxes = real_values(heads[grid.boxes], spec.outputs[grid.boxes])[0]
        scores = real_values(heads[grid.scores], spec.outputs[grid.scores])[0]
        objectness = None
        if grid.objectness is not None:
            objectness = real_values(heads[grid.objectness], spec.outputs[grid.objectness])[0]
        for row in range(scores.shape[0]):
            for column in range(scores.shape[1]):
                share = 1.0 if objectness is None else sigmoid(float(objectness[row, column, 0]))
                sides = [float(value) for value in boxes[row, column]]
                cells = _box(sides, spec.description.head, corner_xy=(column, row))
                box = tuple(side * grid.stride_px for side in cells)
                for class_id, value in enumerate(scores[row, column]):
                    score = share * sigmoid(float(value))
                    if score >= score_threshold:
                        found.append(Candidate(box, score, class_id))
    return sound(found)


def _box(
    values: list[float], head: AnchorFreeHead, *, corner_xy: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return one cell's xyxy box, in cells."""
    x, y = corner_xy
    if head.boxes == "center_exp":
        cx, cy = (clamp(value, MAX_CELLS) for value in values[:2])
        w, h = (math.exp(clamp(value, MAX_EXPONENT)) for value in values[2:])
        return x + cx - w / 2, y + cy - h / 2, x + cx + w / 2, y + cy + h / 2
    if head.boxes == "distribution":
        sides = [_mean(values[head.bins * side :][: head.bins]) for side in range(4)]
    else:
        sides = [clamp(value, MAX_CELLS) for value in values]
    left, top, right, bottom = sides
    return x + 0.5 - left, y + 0.5 - top, x + 0.5 + right, y + 0.5 + bottom


def _mean(values: list[float]) -> float:
    return sum(number * share for number, share in enumerate(softmax(values)))
