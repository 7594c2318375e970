"""Which channels of which tensors must share a factor, if a model is to stay what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.quantize.repairs.gains import gain_before, sigmoid_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op

# f(a x) = a f(x) for a > 0: a factor passes them.
HOMOGENEOUS = ("NONE", "RELU")
# Ops that hand each channel on by itself, and through which a factor passes.
CHANNELWISE = (
    "RELU", "LEAKY_RELU", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "PAD", "MIRROR_PAD",
)  # fmt: skip
SUMS = ("ADD", "SUB")
ABSORBING = ("CONV_2D", "DEPTHWISE_CONV_2D")


class Channels:
    """The channels (last axis) of the computed tensors, in sets that must share one factor.

    A convolution takes factors in at its weights and gives them out at its weights and bias, so its
    input and output are free of each other, unless a ReLU6 (or another function that no factor
    passes) holds the output. A sum, a pooling, a padding, a ReLU or a leaky ReLU tie their
    ends, a concatenation each of its parts, a SiLU with a gain its own; whatever else reads or
    writes a tensor, and the model's own ends, hold it as it is.

    Args:
        graph: A float model.
        absorbers: Ops whose weights may be written; others hold their ends.

    Attributes:
        sets: Tensor name to `(C,)` int64, the number of each channel's set.
        held: Sets that must keep the factor 1.
    """

    def __init__(self, graph: Graph, absorbers: AbstractSet[Op]) -> None:
        self._graph = graph
        self._absorbers = absorbers
        self._computed = dict.fromkeys((*graph.inputs, *graph.producers))
        self._start: dict[str, int] = {}
        self._parent: list[int] = []
        held: set[int] = set()
        for name in (*graph.inputs, *graph.outputs):
            held.update(self._channels(name))
        for op in graph.ops:
            held.update(self._tie(op))
        self.sets = {
            name: np.array([self._find(row) for row in self._channels(name)], np.int64)
            for name in self._computed
        }
        self.held = {self._find(row) for row in held}

    def _tie(self, op: Op) -> list[int]:
        """Unite what an op ties, and return the channels that it holds."""
        passes = op.activation in HOMOGENEOUS
        inputs = [name for name in op.inputs if name in self._computed]
        shape, shapes = self._graph.shape(op.output), [self._graph.shape(name) for name in inputs]
        if op.kind in ABSORBING and op in self._absorbers and len(inputs) == 1:
            return [] if passes else list(self._channels(op.output))
        if op.kind in CHANNELWISE and passes and shapes and shapes[0][-1:] == shape[-1:]:
            self._unite(inputs[0], op.output)
            return []
        both = len(inputs) == 2  # noqa: PLR2004 - of a sum, both computed
        if op.kind in SUMS and passes and both and all(found == shape for found in shapes):
            for name in inputs:
                self._unite(name, op.output)
            return []
        found = sigmoid_of(self._graph, op)
        if found and gain_before(self._graph, found[1]) in self._absorbers:
            self._unite(found[0], op.output)
            return list(self._channels(found[1].output))
        if op.kind == "CONCATENATION" and passes and self._is_of_channels(op, inputs):
            parts = [row for name in inputs for row in self._channels(name)]
            self._unite_rows(parts, list(self._channels(op.output)))
            return []
        return [row for name in (*inputs, op.output) for row in self._channels(name)]

    def _is_of_channels(self, op: Op, inputs: list[str]) -> bool:
        last = len(self._graph.shape(op.output)) - 1
        return len(inputs) == len(op.inputs) and op.options.get("axis") in (-1, last)

    def _channels(self, name: str) -> range:
        shape = self._graph.shape(name)
        if not shape:
            return range(0)
        if name not in self._start:
            self._start[name] = len(self._parent)
            self._parent.extend(range(len(self._parent), len(self._parent) + shape[-1]))
        return range(self._start[name], self._start[name] + shape[-1])

    def _unite(self, first: str, second: str) -> None:
        self._unite_rows(list(self._channels(first)), list(self._channels(second)))

    def _unite_rows(self, first: list[int], second: list[int]) -> None:
        for a, b in zip(first, second, strict=True):
            low, high = sorted((self._find(a), self._find(b)))
            self._parent[high] = low

    def _find(self, row: int) -> int:
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row


def peaks_by_set(channels: Channels, peaks: Mapping[str, NDArray[np.float64]]) -> dict[int, float]:
    """Return the greatest absolute value of each set, of those that any of its tensors has.

    Args:
        channels: The sets.
        peaks: Tensor name to `(C,)`.
    """
    found: dict[int, float] = {}
    for name, values in peaks.items():
        for number, value in zip(channels.sets[name].tolist(), values.tolist(), strict=True):
            found[number] = max(found.get(number, 0.0), value)
    return found
