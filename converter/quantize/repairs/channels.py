"""Which channels of which tensors must share a factor, if a model is to stay what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

Builtin = schema.BuiltinOperator
Activation = schema.ActivationFunctionType
# f(a x) = a f(x) for a > 0: a factor passes them.
HOMOGENEOUS = (Activation.NONE, Activation.RELU)
# Ops that hand each channel on by itself, and through which a factor passes.
CHANNELWISE = (
    Builtin.RELU, Builtin.LEAKY_RELU, Builtin.MAX_POOL_2D, Builtin.AVERAGE_POOL_2D,
    Builtin.RESIZE_BILINEAR, Builtin.RESIZE_NEAREST_NEIGHBOR, Builtin.PAD, Builtin.MIRROR_PAD,
)  # fmt: skip
SUMS = (Builtin.ADD, Builtin.SUB)
ABSORBING = (Builtin.CONV_2D, Builtin.DEPTHWISE_CONV_2D)


class Channels:
    """The channels (last axis) of the computed tensors, in sets that must share one factor.

    A convolution takes factors in at its weights and gives them out at its weights and bias, so its
    input and output are free of each other, unless a ReLU6 (or another function that no factor
    passes) holds the output. A sum, a pooling, a padding, a ReLU or a leaky ReLU tie their
    ends, a concatenation each of its parts; whatever else reads or writes a tensor, and the model's
    own ends, hold it as it is.

    Args:
        model: A float `ModelT`.
        absorbers: Ops, by `id`, whose weights may be written; others hold their ends.

    Attributes:
        sets: Tensor index to `(C,)` int64, the number of each channel's set.
        held: Sets that must keep the factor 1.
    """

    def __init__(self, model: Any, absorbers: set[int]) -> None:  # noqa: ANN401
        self._graph = model.subgraphs[0]
        self._absorbers = absorbers
        computed = {int(index) for op in self._graph.operators for index in op.outputs}
        self._computed = computed | {int(index) for index in self._graph.inputs}
        self._start: dict[int, int] = {}
        self._parent: list[int] = []
        held: set[int] = set()
        for index in (*self._graph.inputs, *self._graph.outputs):
            held.update(self._channels(int(index)))
        for op in self._graph.operators:
            kind = model.operatorCodes[op.opcodeIndex].builtinCode
            held.update(self._tie(op, kind))
        self.sets = {
            index: np.array([self._find(row) for row in self._channels(index)], np.int64)
            for index in sorted(self._computed)
        }
        self.held = {self._find(row) for row in held}

    def _tie(self, op: Any, kind: int) -> list[int]:  # noqa: ANN401
        """Unite what an op ties, and return the channels that it holds."""
        options = op.builtinOptions
        passes = getattr(options, "fusedActivationFunction", Activation.NONE) in HOMOGENEOUS
        inputs = [int(index) for index in op.inputs if int(index) in self._computed]
        output = int(op.outputs[0])
        ends = [row for index in (*inputs, output) for row in self._channels(index)]
        if kind in ABSORBING and id(op) in self._absorbers and len(inputs) == 1:
            return [] if passes else list(self._channels(output))
        if (
            kind in CHANNELWISE
            and passes
            and self._shape(inputs[0])[-1:] == self._shape(output)[-1:]
        ):
            self._unite(inputs[0], output)
            return []
        same = all(self._shape(index) == self._shape(output) for index in inputs)
        if kind in SUMS and passes and same and len(inputs) == 2:  # noqa: PLR2004 - both computed
            for index in inputs:
                self._unite(index, output)
            return []
        if kind == Builtin.CONCATENATION and passes and self._is_of_channels(op, inputs):
            parts = [row for index in inputs for row in self._channels(index)]
            self._unite_rows(parts, list(self._channels(output)))
            return []
        return ends

    def _is_of_channels(self, op: Any, inputs: list[int]) -> bool:  # noqa: ANN401
        rank = len(self._shape(int(op.outputs[0])))
        return len(inputs) == len(op.inputs) and op.builtinOptions.axis in (-1, rank - 1)

    def _shape(self, index: int) -> tuple[int, ...]:
        shape = self._graph.tensors[index].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def _channels(self, index: int) -> range:
        shape = self._shape(index)
        if not shape:
            return range(0)
        if index not in self._start:
            self._start[index] = len(self._parent)
            self._parent.extend(range(len(self._parent), len(self._parent) + shape[-1]))
        return range(self._start[index], self._start[index] + shape[-1])

    def _unite(self, first: int, second: int) -> None:
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


def peaks_by_set(channels: Channels, peaks: dict[int, NDArray[np.float64]]) -> dict[int, float]:
    """Return the greatest absolute value of each set, of those that any of its tensors has.

    Args:
        channels: The sets.
        peaks: Tensor index to `(C,)`.
    """
    found: dict[int, float] = {}
    for index, values in peaks.items():
        for number, value in zip(channels.sets[index].tolist(), values.tolist(), strict=True):
            found[number] = max(found.get(number, 0.0), value)
    return found
