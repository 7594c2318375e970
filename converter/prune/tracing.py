"""Which channels of a graph hang together: what each op does to the channels that it reads.

Every channel that an op makes has a number, its id. Each tensor is followed by the ids along one of
its axes; ids that can only stand or fall together are united, and those that must stand are
protected. A tensor without ids keeps its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op

    Ids = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """The channels of a tensor: an axis, and the id of each place along it."""

    axis: int
    ids: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """A constant whose places along an axis go with channels."""

    op: Op
    place: int
    axis: int
    ids: Ids


class Tracer:
    """What is known so far of a graph's channels.

    Args:
        graph: Static, float.

    Attributes:
        wires: Of each tensor that has one.
        uses: Of the constants, in the order of the ops.
        makers: Of each op that makes channels, their ids; each id is made once.
        foreign: Ops that no rule knows, and that read channels.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.wires: dict[str, Wire] = {}
        self.uses: list[Use] = []
        self.makers: dict[Op, Ids] = {}
        self.foreign: list[Op] = []
        self._parents: list[int] = []
        self._protected: list[Ids] = []

    def fresh(self, op: Op, count: int) -> Ids:
        """Return the ids of so many channels that an op makes."""
        self.makers[op] = ids = self._new(count)
        return ids

    def held(self, count: int) -> Ids:
        """Return the ids of channels that must stand."""
        ids = self._new(count)
        self.protect(ids)
        return ids

    def protect(self, ids: Ids) -> None:
        """Let these stand, and all that is or will be united with them."""
        self._protected.append(ids)

    def protect_inputs(self, op: Op) -> None:
        """Let all stand that an op reads."""
        for name in op.inputs:
            if name in self.wires:
                self.protect(self.wires[name].ids)

    def unite(self, *rows: Ids) -> Ids:
        """Let the ids at the same places stand or fall together; return the first ones."""
        for row in rows[1:]:
            for one, other in zip(rows[0].tolist(), row.tolist(), strict=True):
                low, high = sorted((self._root(one), self._root(other)))
                self._parents[high] = low
        return rows[0]

    def wired(self, name: str, *, axis: int | None = None) -> Ids | None:
        """Return the ids of a tensor; with an axis, only where it is that one."""
        wire = self.wires.get(name)
        return wire.ids if wire and axis in (None, wire.axis) else None

    def use(self, op: Op, place: int, *, axis: int, ids: Ids) -> None:
        """Note that a constant input goes with channels; an absent one does not."""
        if place < len(op.inputs) and self.graph.is_constant(op.inputs[place]):
            self.uses.append(Use(op, place, axis, ids))

    def roots(self) -> Ids:
        """Return the id that stands for each, `(ids,)`."""
        return np.array([self._root(number) for number in range(len(self._parents))], np.intp)

    def protected(self) -> Ids:
        """Return the ids that stand for those that must stand."""
        flat = np.concatenate([np.zeros(0, np.intp), *self._protected])
        return np.unique(self.roots()[flat])

    def _new(self, count: int) -> Ids:
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count, dtype=np.intp)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def numbers(graph: Graph, name: str) -> list[int] | None:
    """Return a constant of whole numbers as a flat list; `None` for what is computed."""
    value = graph.value(name)
    return None if value is None else [int(each) for each in np.asarray(value).reshape(-1)]


def axis_of(value: int, rank: int) -> int:
    """Return an axis counted from the front."""
    return value + rank if value < 0 else value


def product(sizes: Sequence[int]) -> int:
    """Return how many elements a shape has."""
    return int(np.prod(sizes, dtype=np.int64))
