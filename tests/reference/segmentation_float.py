"""Segmentation decoding by the book: dequantise everything, then look at one cell at a time.

Shares no code with `edge.decode.segmentation`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from reference.ssd_float import real_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


def class_ids(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[list[int]]:
    """Return the class id of each cell, row by row."""
    head, output = spec.description.head, spec.outputs["classes"]
    height, width = output.shape[1:3]
    if head.activation == "argmax":
        ids = heads["classes"].reshape(height, width)
        return [[int(ids[y, x]) for x in range(width)] for y in range(height)]
    # Of two probabilities that sum to 1 the foreground's says all.
    ready_pair = head.activation == "none" and output.shape[3] == 2
    values = real_values(heads["classes"], output)[0]  # (H, W, C)
    if ready_pair:
        values = values[..., 1:]
    least = _logit(score_threshold) if head.activation == "sigmoid" else score_threshold
    return [
        [_class_of([float(v) for v in values[y, x]], least=least) for x in range(width)]
        for y in range(height)
    ]


def _class_of(scores: list[float], *, least: float) -> int:
    if len(scores) == 1:
        return int(scores[0] >= _as_float32(least))
    numbers = [-math.inf if math.isnan(score) else score for score in scores]
    best = 0
    for class_id, score in enumerate(numbers):
        if score > numbers[best]:
            best = class_id
    return best


def _logit(probability: float) -> float:
    if probability in (0.0, 1.0):
        return math.inf if probability else -math.inf
    return math.log(probability) - math.log1p(-probability)


def _as_float32(value: float) -> float:
    return float(np.float32(value))
