"""How far outputs are off where it matters: scores as scores, boxes where the teacher sees one.

Most of the power of raw heads says that nothing is there, and hangs on no detection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.decode.anchor_free import AnchorFreeHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloHead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.model.description import Description

    Array = NDArray[np.float32]

LEAST_POWER = 1e-6


class Attention:
    """What each number of some outputs counts; of heads that are no raw boxes, all the same.

    Args:
        described: Of the model.
        names: Tensors of its outputs, in their order.
    """

    def __init__(self, described: Description, names: Sequence[str]) -> None:
        places = {role: names.index(name) for role, name in described.outputs.items()}
        head, self._grids = described.head, list[tuple[int, int | None, int]]()
        self._first, self._is_raw = 0, True
        if isinstance(head, SsdHead):
            self._grids = [(places["boxes"], None, places["scores"])]
            self._first, self._is_raw = int(head.background), head.activation == "sigmoid"
        elif isinstance(head, YoloHead | AnchorFreeHead):
            self._grids = [
                (places[grid.boxes], places.get(grid.objectness or ""), places[grid.scores])
                for grid in head.grids if grid.boxes != grid.scores
            ]  # fmt: skip

    def error(self, found: Iterable[list[Array]], wanted: Sequence[list[Array]]) -> float:
        """Return the squared error of each output over its power, both weighted, summed over them.

        Args:
            found: For each image the outputs.
            wanted: The teacher's.
        """
        noise, power = np.zeros(len(wanted[0])), np.zeros(len(wanted[0]))
        for target, values in zip(wanted, found, strict=True):
            rows = self._counted(target, target), self._counted(values, target)
            for place, (a, b) in enumerate(zip(*rows, strict=True)):
                noise[place] += np.square(a - b, dtype=np.float64).sum()
                power[place] += np.square(a, dtype=np.float64).sum()
        return float((noise / np.maximum(power, np.finfo(np.float64).tiny)).sum())

    def slopes(self, teacher: list[Array]) -> list[Array]:
        """Return how what counts of an image's outputs changes with each number, over its norm."""
        step = np.float32(1e-2)
        counted = self._counted(teacher, teacher)
        moved = self._counted([each + step for each in teacher], teacher)
        return [
            (b - a) / step / max(float(np.sqrt(np.square(a).sum())), LEAST_POWER)
            for a, b in zip(counted, moved, strict=True)
        ]

    def _counted(self, values: list[Array], teacher: list[Array]) -> list[Array]:
        made = list(values)
        for boxes, objectness, scores in self._grids:
            sure = self._score(teacher[scores][..., self._first :])
            if objectness is not None:
                sure = self._score(teacher[objectness])
                made[objectness] = self._score(values[objectness])
            weight = np.sqrt(sure.max(axis=-1, keepdims=True))
            made[boxes] = values[boxes] * weight
            made[scores] = self._score(values[scores]) * (1 if objectness is None else weight)
        return made

    def _score(self, raw: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-raw)), np.float32) if self._is_raw else raw
