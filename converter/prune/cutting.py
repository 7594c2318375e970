"""A graph with fewer channels: smaller constants, and the numbers of ops that tell sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.edits import free_name, tidied, with_ops
from converter.graph.values import ABSENT, Graph, Op, Tensor
from converter.prune.tracing import axis_of, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from converter.prune.channels import Channels, Kept

    Told = tuple[Op, dict[int, list[int]]]


# Axis of the weights along which lie the channels that an op reads.
READS = {"CONV_2D": 3, "TRANSPOSE_CONV": 3, "FULLY_CONNECTED": 1}


def pruned(channels: Channels, kept: Kept) -> Graph:
    """Return the graph without the channels that fall; what is left gives what it gave.

    Args:
        channels: Of the whole graph.
        kept: Which channels of a group stay; a group that is not named stays whole.
    """
    stands = channels.standing(kept)
    graph = channels.graph
    tensors = dict(graph.tensors)
    for name, wire in channels.wires.items():
        shape = list(graph.shape(name))
        shape[wire.axis] = int(stands[wire.ids].sum())
        tensors[name] = replace(tensors[name], shape=tuple(shape))
    for use in channels.uses:
        name, left = use.op.inputs[use.place], stands[use.ids]
        if left.all():
            continue
        value = np.compress(left, _value(tensors[name]), axis=use.axis)
        tensors[name] = replace(tensors[name], value=value, shape=value.shape)
    cut = Graph(tensors, graph.ops, graph.inputs, graph.outputs)
    return tidied(_with_sizes(cut, channels, stands))


@dataclass(frozen=True, slots=True)
class _Cut:
    """One op of a graph whose tensors have their new shapes, and what it was before.

    Attributes:
        op: Whose numbers still tell the old sizes.
        graph: With the new shapes.
        channels: Of the whole.
        stands: Of each id.
    """

    op: Op
    graph: Graph
    channels: Channels
    stands: NDArray[np.bool_]

    @property
    def shape(self) -> list[int]:
        """The new shape of what the op makes."""
        return list(self.graph.shape(self.op.output))

    def left(self, axis: int, count: int) -> int:
        """Return how many of the first places along an axis of what the op reads are left."""
        wire = self.channels.wires.get(self.op.inputs[0])
        return (
            count if wire is None or wire.axis != axis else int(self.stands[wire.ids[:count]].sum())
        )


def _with_sizes(graph: Graph, channels: Channels, stands: NDArray[np.bool_]) -> Graph:
    """Return the graph whose ops tell the sizes that their tensors have now."""
    changed: dict[Op, tuple[Op, ...]] = {}
    tensors: list[Tensor] = []
    for op in graph.ops:
        if op.kind not in SIZES or op.output not in channels.wires:
            continue
        told, numbers = SIZES[op.kind](_Cut(op, graph, channels, stands))
        inputs = list(told.inputs)
        for place, values in numbers.items():
            name = free_name(graph, f"{op.output}/{place}")
            value = np.array(values, np.int32)
            tensors.append(Tensor(name, value.shape, "int32", value))
            inputs[place] = name
        changed[op] = (replace(told, inputs=tuple(inputs)),)
    return with_ops(graph, changed, tensors=tensors)


def _reshape(cut: _Cut) -> Told:
    shape = cut.shape
    op = replace(cut.op, options={**cut.op.options, "newShape": tuple(shape)})
    return op, {1: shape} if len(op.inputs) > 1 else {}


def _transposed(cut: _Cut) -> Told:
    return cut.op, {0: cut.shape}


def _split(cut: _Cut) -> Told:
    """Return a SPLIT whose parts are of unlike sizes as a SPLIT_V."""
    op = cut.op
    axis, source = op.inputs if op.kind == "SPLIT" else (op.inputs[2], op.inputs[0])
    at = axis_of((numbers(cut.graph, axis) or [0])[0], len(cut.graph.shape(source)))
    sizes = [cut.graph.shape(name)[at] for name in op.outputs]
    if op.kind == "SPLIT" and len(set(sizes)) == 1:
        return op, {}
    options = {"numSplits": len(sizes)}
    return Op("SPLIT_V", (source, ABSENT, axis), op.outputs, options, 2), {1: sizes}


def _slice(cut: _Cut) -> Told:
    begin = numbers(cut.graph, cut.op.inputs[1]) or []
    return cut.op, {1: [cut.left(axis, first) for axis, first in enumerate(begin)], 2: cut.shape}


def _strided(cut: _Cut) -> Told:
    """The axis of the channels alone has other places; it is taken in steps of one."""
    op, axis = cut.op, cut.channels.wires[cut.op.output].axis
    begin, end = (numbers(cut.graph, name) or [] for name in op.inputs[1:3])
    whole = cut.channels.graph.shape(op.inputs[0])[axis]
    first = 0 if op.options.get("beginMask", 0) >> axis & 1 else axis_of(begin[axis], whole)
    begin[axis] = cut.left(axis, first)
    end[axis] = begin[axis] + cut.shape[axis]
    return op, {1: begin, 2: end}


# What of an op tells sizes: the op, and the numbers at the places of its inputs.
SIZES: dict[str, Callable[[_Cut], Told]] = {
    "RESHAPE": _reshape,
    "TRANSPOSE_CONV": _transposed,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided,
}


def _value(tensor: Tensor) -> NDArray[Any]:
    if tensor.value is None:
        raise ValueError(f"expected constant {tensor.name!r}, found a computed tensor")
    return tensor.value
