"""What the convolutions of a float graph make on images, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import free_name, with_ops
from converter.graph.fusing import WEIGHTED
from converter.quantize.running import tapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of what one op with weights makes before its activation.

    Attributes:
        mean: `(C,)` float32.
        variance: `(C,)` float32.
        is_fresh: The op has learnt nothing: what it makes is nothing to keep, and its normalisation
            starts as any does. Of weights drawn at random a channel's mean is larger than its
            deviation, and with both kept a U-Net did not learn even a single picture.
    """

    mean: Array
    variance: Array
    is_fresh: bool = False


def statistics(
    graph: Graph, inputs: Sequence[Sequence[Array]], *, progress: Progress | None = None
) -> dict[str, Moments]:
    """Run a float graph on images; return the moments of each op with weights, by its output.

    Args:
        graph: Float.
        inputs: For each image what the graph's inputs get.
        progress: Called with (images run, images).
    """
    plain, names = _without_activations(graph)
    sums = {name: np.zeros((2, graph.shape(name)[-1])) for name in names}
    counts = dict.fromkeys(names, 0)
    for number, tensors in enumerate(tapped(plain, list(names.values()), inputs), start=1):
        for name, tensor in zip(names, tensors, strict=True):
            rows = tensor.reshape(-1, tensor.shape[-1])
            sums[name] += rows.sum(axis=0), np.einsum("pc,pc->c", rows, rows)
            counts[name] += len(rows)
        if progress:
            progress(number, len(inputs))
    found = {}
    for name, (total, squares) in sums.items():
        mean = total / counts[name]
        variance = np.maximum(squares / counts[name] - mean**2, 0)
        found[name] = Moments(mean.astype(np.float32), variance.astype(np.float32))
    return found


def _without_activations(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """Return the graph with another op beside each with weights, and what those make."""
    changed, tensors, names = {}, [], {}
    for op in graph.ops:
        if op.kind in WEIGHTED:
            names[op.output] = name = free_name(graph, f"{op.output}/linear")
            options = {**op.options, "fusedActivationFunction": "NONE"}
            changed[op] = (op, replace(op, outputs=(name,), options=options))
            tensors.append(replace(graph.tensors[op.output], name=name))
    return with_ops(graph, changed, tensors=tensors), names
