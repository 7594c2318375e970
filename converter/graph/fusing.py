"""Make one op of what TFLite computes at once: sums and factors a channel, activations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.edits import tidied

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op, Tensor

# Kind to the places of its weights and bias, and the axis of the weights that counts filters.
WEIGHTED = {
    "CONV_2D": (1, 2, 0),
    "DEPTHWISE_CONV_2D": (1, 2, 3),
    "TRANSPOSE_CONV": (1, 3, 0),
    "FULLY_CONNECTED": (1, 2, 0),
}
PAIR = 2
ACTIVATIONS = {"RELU": "RELU", "RELU6": "RELU6"}
# Those whose int8 kernels clamp what they make without another pass.
FUSING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL")


def fused(graph: Graph) -> Graph:
    """Return the same function with fewer ops.

    A factor or a sum a channel behind a convolution (a batch normalisation) goes into its weights
    and bias, an activation into the op that makes what it reads. So does a sum a channel behind the
    addition of a convolution and something else: TensorFlow's optimiser turns
    ``(conv + bias) + x`` into ``AddN(conv, x) + bias``, and ADD_N has no int8 kernel.
    """
    return _Fusion(replace(graph, ops=tuple(_binary(op) for op in graph.ops))).run()


def _binary(op: Op) -> Op:
    if op.kind == "ADD_N" and len(op.inputs) == PAIR:
        return replace(op, kind="ADD", options={"fusedActivationFunction": "NONE"}, version=1)
    return op


class _Fusion:
    """One pass over a graph: each op goes into one before it, or is kept."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors = dict(graph.tensors)
        self._ops: list[Op] = []
        # Tensor to the place in `_ops` of what makes it.
        self._made: dict[str, int] = {}

    def run(self) -> Graph:
        for op in self._graph.ops:
            if not any(self._goes_into(op, source, other) for source, other in _sides(op)):
                self._made.update(dict.fromkeys(op.outputs, len(self._ops)))
                self._ops.append(op)
        return tidied(replace(self._graph, ops=tuple(self._ops), tensors=self._tensors))

    def _goes_into(self, op: Op, source: str, other: str) -> bool:
        """Have what makes `source` take in an op that reads it; return whether it did."""
        before = self._maker(source)
        if before is None:
            return False
        if op.kind not in ACTIVATIONS:
            return self._row_goes_into(op, before, other)
        if before.kind in FUSING:
            self._put(before, op, activation=ACTIVATIONS[op.kind])
            return True
        return False

    def _row_goes_into(self, op: Op, before: Op, other: str) -> bool:
        if op.activation != "NONE" and before.kind not in FUSING:
            return False
        layer: Op | None = before
        if op.kind == before.kind == "ADD":
            layers = (self._maker(name) for name in before.inputs)
            layer = next((layer for layer in layers if layer and layer.kind in WEIGHTED), None)
        row = None if layer is None else _channel_row(self._graph, op, other, before=layer)
        if layer is None or row is None:
            return False
        _take_inplace(self._tensors, layer, row, kind=op.kind)
        self._put(before, op, activation=op.activation)
        return True

    def _maker(self, source: str) -> Op | None:
        """Return what makes a tensor, if it may make something else instead."""
        if source not in self._made or self._graph.sole_reader(source) is None:
            return None
        op = self._ops[self._made[source]]
        return op if op.activation == "NONE" and len(op.outputs) == 1 else None

    def _put(self, before: Op, op: Op, *, activation: str) -> None:
        """Have an op make what another made."""
        place = self._made[before.output]
        options = {**before.options, "fusedActivationFunction": activation}
        self._ops[place] = replace(before, options=options, outputs=op.outputs)
        self._made[op.output] = place


def _sides(op: Op) -> tuple[tuple[str, str], ...]:
    """Return each input that the op may go behind, and the other one."""
    if op.kind in ACTIVATIONS:
        return ((op.inputs[0], ""),)
    if op.kind in ("MUL", "ADD"):
        first, second = op.inputs
        return ((first, second), (second, first))
    return ()


def _channel_row(graph: Graph, op: Op, other: str, *, before: Op) -> NDArray[np.float32] | None:
    """Return the factors or sums, one a filter, that an op brings to a convolution before it."""
    weights_at, bias_at, _ = WEIGHTED.get(before.kind, (0, len(before.inputs), 0))
    if not other or len(before.inputs) <= bias_at:
        return None
    own = [before.inputs[weights_at], before.inputs[bias_at]]
    values = [graph.value(name) for name in (*own, other)]
    if any(value is None or value.dtype != np.float32 for value in values):
        return None
    shape, count = graph.shape(other), graph.shape(before.output)[-1]
    is_row = shape[-1:] in ((), (1,), (count,)) and np.prod(shape) in (1, count)
    is_alone = all(len(graph.readers[name]) == 1 for name in own)
    if not is_row or not is_alone or graph.shape(op.output) != graph.shape(before.output):
        return None
    row: Any = graph.value(other)
    return np.broadcast_to(row.reshape(-1), (count,))


def _take_inplace(
    tensors: dict[str, Tensor], layer: Op, row: NDArray[np.float32], *, kind: str
) -> None:
    """Multiply a layer's weights and bias by a row, or add it to the bias."""
    weights_at, bias_at, axis = WEIGHTED[layer.kind]
    for place, along in ((weights_at, axis), (bias_at, 0)):
        tensor = tensors[layer.inputs[place]]
        assert tensor.value is not None  # noqa: S101 - a constant of its own
        sides = [-1 if each == along else 1 for each in range(len(tensor.shape))]
        value = tensor.value
        if kind == "MUL":
            value = value * row.reshape(sides)
        elif place == bias_at:
            value = value + row
        made = np.ascontiguousarray(value, np.float32)
        tensors[tensor.name] = replace(tensor, value=made)
