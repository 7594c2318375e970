"""YOLO decoding by the book: dequantise everything, look at one anchor and class at a time.

Shares no code with `edge.decode`. Source: Redmon and Farhadi 2018, section 2.1; Bochkovskiy et al.
2020, section 3.4; YOLOv5's definition of sides.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from reference.float_heads import (
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

    from edge.decode.yolo import YoloGrid
    from edge.model.spec import ModelSpec


def numbers_of(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, grid: YoloGrid
) -> NDArray[np.float64]:
    """Return `(H, W, B, 5 + C)` real values: tx, ty, tw, th, objectness, classes."""

    def cells(role: str) -> NDArray[np.float64]:
        real = real_values(heads[role], spec.outputs[role])[0]  # (H, W, B * n)
        return real.reshape(*real.shape[:2], len(grid.anchors_px), -1)

    if grid.boxes == grid.scores:
        return cells(grid.boxes)
    return np.concatenate([cells(role) for role in (grid.boxes, grid.objectness, grid.scores)], -1)


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every candidate that reaches the threshold, by grid, cell, anchor, then class."""
    found = []
    for grid in spec.description.head.grids:
        numbers = numbers_of(heads, spec, grid=grid)
        for row in range(numbers.shape[0]):
            for column in range(numbers.shape[1]):
                for anchor in range(numbers.shape[2]):
                    values = [float(value) for value in numbers[row, column, anchor]]
                    box = _box(
                        values[:4], spec, grid=grid, place=(row, column, anchor), size=numbers.shape
                    )
                    found += [
                        Candidate(box, score, class_id)
                        for class_id, score in enumerate(_scores(values[4:], spec))
                        if score >= score_threshold
                    ]
    return sound(found)


def _scores(values: list[float], spec: ModelSpec) -> list[float]:
    objectness, *classes = values
    if spec.description.head.classes == "softmax":
        shares = softmax(classes)
    else:
        shares = [sigmoid(value) for value in classes]
    return [sigmoid(objectness) * share for share in shares]


def _box(
    values: list[float],
    spec: ModelSpec,
    *,
    grid: YoloGrid,
    place: tuple[int, int, int],
    size: tuple[int, ...],
) -> tuple[float, float, float, float]:
    row, column, anchor = place
    width, height = spec.description.input.size_wh
    tx, ty, tw, th = values
    shift = (grid.scale_xy - 1) / 2
    cx = (grid.scale_xy * sigmoid(tx) - shift + column) * width / size[1]
    cy = (grid.scale_xy * sigmoid(ty) - shift + row) * height / size[0]
    if spec.description.head.sides == "square":
        growth_w, growth_h = (2 * sigmoid(tw)) ** 2, (2 * sigmoid(th)) ** 2
    else:
        growth_w, growth_h = (math.exp(clamp(value, MAX_EXPONENT)) for value in (tw, th))
    w, h = growth_w * grid.anchors_px[anchor][0], growth_h * grid.anchors_px[anchor][1]
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
