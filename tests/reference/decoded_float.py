"""Boxes that a graph decoded by the book: one row and class at a time, in Python's own numbers.

Shares no code with `edge.decode`. Source: Ge et al. 2021, section 2.1, for `center_exp`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from reference.detections_float import xyxy
from reference.float_heads import (
    MAX_CELLS,
    MAX_EXPONENT,
    Candidate,
    clamp,
    real_values,
    sigmoid,
    sound,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every candidate that reaches the threshold, by row and then by class."""
    head = spec.description.head
    scores = head.objectness + len(spec.description.labels)
    widths = {"rows": 4 + scores, "boxes": 4, "scores": scores}
    parts = {role: _rows(heads[role], spec, role=role, width=widths[role]) for role in heads}
    rows = parts["rows"] if "rows" in parts else np.hstack([parts["boxes"], parts["scores"]])
    cells = _cells(spec)
    found = []
    for number, (*raw, left, top, third, fourth) in enumerate(
        np.hstack([rows[:, 4:], rows[:, :4]]).tolist()
    ):
        activated = [_activated(value, head.activation) for value in raw]
        share = activated.pop(0) if head.objectness else 1.0
        numbers = [left, top, third, fourth]
        box = _grid_box(numbers, cells[number]) if head.strides_px else xyxy(numbers, spec)
        found += [
            Candidate(box, share * score, class_id)
            for class_id, score in enumerate(activated)
            if share * score >= score_threshold
        ]
    return sound(found)


def _rows(raw: NDArray[Any], spec: ModelSpec, *, role: str, width: int) -> NDArray[np.float64]:
    real = real_values(raw, spec.outputs[role])[0]
    return real if real.shape[1] == width else real.T


def _activated(value: float, activation: str) -> float:
    if activation == "sigmoid":
        return sigmoid(value)
    return min(value, 1.0) if value >= 0 else math.nan  # which is none, and never passes


def _cells(spec: ModelSpec) -> list[tuple[int, int, int]]:
    """Return column, row and stride of each row of the outputs."""
    width, height = spec.description.input.size_wh
    return [
        (column, row, stride)
        for stride in spec.description.head.strides_px
        for row in range(math.ceil(height / stride))
        for column in range(math.ceil(width / stride))
    ]


def _grid_box(
    numbers: list[float], cell: tuple[int, int, int]
) -> tuple[float, float, float, float]:
    column, row, stride = cell
    cx, cy = (clamp(value, MAX_CELLS) for value in numbers[:2])
    w, h = (math.exp(clamp(value, MAX_EXPONENT)) * stride for value in numbers[2:])
    x, y = (column + cx) * stride, (row + cy) * stride
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2
