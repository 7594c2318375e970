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
ACTIVATIONS = {"RELU": "RELU", "RELU6": "RELU6"}
# Those whose int8 kernels clamp what they make without another pass.
FUSING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL")


def fused(graph: Graph) -> Graph:
    """Return the same function with fewer ops.

    A factor or a sum a channel behind a convolution (a batch normalisation) goes into its weights
    and bias, an activation into the op that makes what it reads.
    """
    tensors = dict(graph.tensors)
    made: dict[str, int] = {}
    ops: list[Op] = []
    for op in graph.ops:
        before = _merged(graph, op, made=made, ops=ops, tensors=tensors)
        if before is not None:
            place, changed = before
            ops[place] = changed
            made[op.output] = place
            continue
        made.update(dict.fromkeys(op.outputs, len(ops)))
        ops.append(op)
    return tidied(replace(graph, ops=tuple(ops), tensors=tensors))


def _merged(
    graph: Graph, op: Op, *, made: dict[str, int], ops: list[Op], tensors: dict[str, Tensor]
) -> tuple[int, Op] | None:
    """Return the place of the op that takes this one in, and what it becomes."""
    if op.kind in ACTIVATIONS:
        pairs = [(op.inputs[0], "")]
    elif op.kind in ("MUL", "ADD"):
        first, second = op.inputs
        pairs = [(first, second), (second, first)]
    else:
        return None
    for source, other in pairs:
        if source not in made or graph.sole_reader(source) is not op:
            continue
        place = made[source]
        before = ops[place]
        if before.activation != "NONE" or len(before.outputs) > 1:
            return None
        if op.kind in ACTIVATIONS and before.kind in FUSING:
            options = {**before.options, "fusedActivationFunction": ACTIVATIONS[op.kind]}
            return place, replace(before, options=options, outputs=op.outputs)
        row = _channel_row(graph, op, other, before=before)
        if row is not None:
            return place, _with_row(op, before, row, tensors=tensors)
    return None


def _channel_row(graph: Graph, op: Op, other: str, *, before: Op) -> NDArray[np.float32] | None:
    """Return the factors or sums, one a filter, that an op brings to a convolution before it."""
    weights_at, bias_at, _ = WEIGHTED.get(before.kind, (0, len(before.inputs), 0))
    if not other or len(before.inputs) <= bias_at:
        return None
    if op.activation != "NONE" and before.kind not in FUSING:
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


def _with_row(op: Op, before: Op, row: NDArray[np.float32], *, tensors: dict[str, Tensor]) -> Op:
    weights_at, bias_at, axis = WEIGHTED[before.kind]
    for place, along in ((weights_at, axis), (bias_at, 0)):
        tensor = tensors[before.inputs[place]]
        assert tensor.value is not None  # noqa: S101 - a constant of its own
        sides = [-1 if each == along else 1 for each in range(len(tensor.shape))]
        value = tensor.value
        if op.kind == "MUL":
            value = value * row.reshape(sides)
        elif place == bias_at:
            value = value + row
        made = np.ascontiguousarray(value, np.float32)
        tensors[tensor.name] = replace(tensor, value=made)
    options = {**before.options, "fusedActivationFunction": op.activation}
    return replace(before, outputs=op.outputs, options=options)
