"""The raw heads of a graph: what its last convolutions give, before any decode.

By structure, as names are the exporter's whim. Everything between these convolutions and the
graph's outputs is decode, which the runtime does in the quantised domain.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import cut, free_name, with_ops
from converter.graph.values import ABSENT, Graph, Op, Tensor
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

INPUT = "input"
NHWC = 4
# What keeps all values and only moves them: it can be cut off together with what follows it.
RESHAPERS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST", "TRANSPOSE")
SLICES = ("SPLIT", "SPLIT_V", "UNPACK", "STRIDED_SLICE", "SLICE")
MOVERS = (*RESHAPERS, *SLICES, "CONCATENATION", "PACK")
# Where the walk from the outputs ends; the number is that of the weights among the inputs.
WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "TRANSPOSE_CONV": 1, "FULLY_CONNECTED": 1}
POINTWISE = ("ADD", "MUL", "SUB")


def cut_at(graph: Graph, outputs: Mapping[str, str]) -> Graph:
    """Return the graph from its image to these tensors, role to tensor."""
    return cut(graph, outputs, inputs={INPUT: graph.inputs[0]})


def before_reshapes(graph: Graph, name: str) -> str:
    """Return the tensor whose values this one holds in another order or shape."""
    while (op := graph.producers.get(name)) is not None and op.kind in RESHAPERS:
        name = op.inputs[0]
    return name


def raw_heads(graph: Graph) -> tuple[str, ...]:
    """Return the results of the convolutions that no further one follows, in the graph's order.

    A sum or product with a number for each channel behind one (a bias; the `ImplicitM` of YOLOv7)
    belongs to it.
    """
    seen: set[str] = set()
    found: set[str] = set()
    waiting = list(graph.outputs)
    while waiting:
        name = waiting.pop()
        op = graph.producers.get(name)
        if name in seen or op is None:
            continue
        seen.add(name)
        if op.kind in WEIGHTS and not _is_expectation(graph, op):
            found.add(name)
        else:
            waiting.extend(source for source in op.inputs if source != ABSENT)
    return tuple(_scaled(graph, op.output) for op in graph.ops if op.output in found)


def by_grid(graph: Graph, names: Iterable[str], path: Path) -> dict[tuple[int, int], list[str]]:
    """Return raw heads by (H, W), the finest grid first.

    Raises:
        ModelError: One of them is no grid.
    """
    grids: dict[tuple[int, int], list[str]] = {}
    for name in names:
        shape = graph.shape(name)
        if len(shape) != NHWC or graph.tensors[name].open_axes:
            raise ModelError(
                f"{path}: expected {name!r} to be a grid (1, rows, columns, channels), found "
                f"{shape}; export the model with a fixed image size"
            )
        grids.setdefault((shape[1], shape[2]), []).append(name)
    return dict(sorted(grids.items(), key=lambda grid: -grid[0][0] * grid[0][1]))


def split(graph: Graph, name: str, parts: Mapping[str, NDArray[np.intp]]) -> Graph:
    """Return the graph that has parts of a raw head's channels beside it, each a tensor.

    The convolution is written once for each part, so that each gets a scale of its own: boxes and
    scores under one scale cost a YOLO 4.7 points of mAP50-95.

    Args:
        graph: The whole.
        name: Of a raw head.
        parts: New tensor to the channels that it takes.

    Raises:
        ValueError: No convolution with constant weights makes it.
    """
    if not is_splittable(graph, name):
        raise ValueError(f"{name} comes from no convolution whose weights are constant")
    chain = _chain(graph, name)
    ops: list[Op] = [chain[-1]]
    tensors: list[Tensor] = []
    for part, channels in parts.items():
        names = {graph.producers[name].output: part}
        for op in chain:
            made = names.setdefault(op.output, free_name(graph, f"{part}_{op.output}"))
            whole = graph.tensors[op.output]
            tensors.append(replace(whole, name=made, shape=(*whole.shape[:-1], channels.size)))
            for constant in op.inputs:
                value = graph.value(constant)
                if value is not None:
                    # Filters are the first axis of a convolution's weights.
                    taken = np.take(value, channels, axis=0 if op.kind == "CONV_2D" else -1)
                    names[constant] = free_name(graph, f"{part}_{constant}")
                    tensors.append(
                        replace(graph.tensors[constant], name=names[constant], value=taken,
                                shape=taken.shape)
                    )  # fmt: skip
            inputs = tuple(names.get(old, old) for old in op.inputs)
            ops.append(replace(op, inputs=inputs, outputs=(made,)))
    return with_ops(graph, {chain[-1]: ops}, tensors=tensors)


def is_splittable(graph: Graph, name: str) -> bool:
    """Return whether a raw head comes from a convolution, so that `split` can part it."""
    first = _chain(graph, name)[0]
    return first.kind == "CONV_2D" and not any(_is_computed(graph, n) for n in first.inputs[1:])


def _chain(graph: Graph, name: str) -> list[Op]:
    """Return the op that makes a raw head and what stands behind it, as `_scaled` found them."""
    op = graph.producers[name]
    if op.kind not in POINTWISE:
        return [op]
    return [*_chain(graph, next(n for n in op.inputs if _is_computed(graph, n))), op]


def _is_computed(graph: Graph, name: str) -> bool:
    return name != ABSENT and graph.value(name) is None


def _is_expectation(graph: Graph, op: Op) -> bool:
    """Tell the decode's mean over bins, which exporters write as a convolution with 0, 1, 2."""
    weights = graph.value(op.inputs[WEIGHTS[op.kind]])
    if weights is None:
        return True  # a product of two computed tensors
    flat = weights.reshape(-1)
    return flat.size == weights.shape[-1] > 1 and bool((flat == np.arange(flat.size)).all())


def _scaled(graph: Graph, name: str) -> str:
    """Return what a convolution gives behind its sum or product with a number a channel."""
    while (op := graph.sole_reader(name)) is not None and op.kind in POINTWISE:
        values = [graph.value(source) for source in op.inputs]
        numbers = next((value for value in values if value is not None), None)
        channels = graph.shape(name)[-1:]
        if numbers is None or numbers.shape[-1:] != channels or numbers.size != channels[0] > 1:
            break
        if op.activation != "NONE" or (op.kind == "SUB" and values[0] is not None):
            break
        name = op.output
    return name
