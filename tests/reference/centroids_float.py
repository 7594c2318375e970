"""Objects of a coarse map by the book: a flood from cell to cell, in Python's own numbers.

Shares no code with `edge.decode`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.float_heads import Candidate, real_values, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every object, by its first cell and then by class."""
    head = spec.description.head
    real = real_values(heads["cells"], spec.outputs["cells"])[0]
    passing = {}
    for row, column, channel in sorted(
        (row, column, channel)
        for row in range(real.shape[0])
        for column in range(real.shape[1])
        for channel in range(int(head.background), real.shape[2])
    ):
        raw = float(real[row, column, channel])
        score = sigmoid(raw) if head.activation == "sigmoid" else min(raw, 1.0)
        if score >= score_threshold:
            passing[row, column, channel] = score
    found = []
    while passing:
        flood, reached = [next(iter(passing))], {}
        while flood:
            place = flood.pop()
            if place in passing:
                reached[place] = passing.pop(place)
                row, column, channel = place
                flood += [
                    (row + down, column + right, channel)
                    for down in (-1, 0, 1)
                    for right in (-1, 0, 1)
                ]
        found.append(_object(reached, spec, shape=real.shape))
    return found


def _object(
    reached: dict[tuple[int, int, int], float], spec: ModelSpec, *, shape: tuple[int, ...]
) -> Candidate:
    rows, columns, channels = zip(*reached, strict=True)
    width, height = spec.description.input.size_wh
    x, y = width / shape[1], height / shape[0]
    box = (min(columns) * x, min(rows) * y, (max(columns) + 1) * x, (max(rows) + 1) * y)
    class_id = channels[0] - spec.description.head.background
    return Candidate(box, math.fsum([max(reached.values())]), class_id)
