"""Round one tensor of a float model as int8 would, the rest staying float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import free_name, insert_after
from converter.graph.values import Op, Quantisation, Tensor

if TYPE_CHECKING:
    from converter.graph.values import Graph


@dataclass(frozen=True, slots=True)
class Levels:
    """The int8 levels of a tensor: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int

    @property
    def low(self) -> float:
        """The least value."""
        return (int(np.iinfo(np.int8).min) - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        """The greatest value."""
        return (int(np.iinfo(np.int8).max) - self.zero_point) * self.scale


def with_rounded(graph: Graph, name: str, levels: Levels) -> Graph:
    """Return the graph in which all that reads a tensor reads it rounded; an output is it, too."""
    shape = graph.shape(name)
    scales, zeros = np.array([levels.scale], np.float32), np.array([levels.zero_point])
    whole = Tensor(
        free_name(graph, f"{name}/levels"), shape, "int8", quantisation=Quantisation(scales, zeros)
    )
    rounded = Tensor(free_name(graph, f"{name}/rounded"), shape)
    ops = (
        Op("QUANTIZE", (name,), (whole.name,)),
        Op("DEQUANTIZE", (whole.name,), (rounded.name,)),
    )
    return insert_after(graph, name, ops, tensors=(whole, rounded))
