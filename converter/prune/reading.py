"""What the channels of a group are read by: weights, and the moments of what these multiply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.prune.cutting import READS
from converter.quantize.repairs.patches import patches
from converter.quantize.repairs.weights import Convolution
from converter.quantize.running import tapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Op
    from converter.prune.channels import Channels
    from converter.prune.tracing import Ids
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]

# Places looked at in each tensor of each image: of more, neighbours say the same again.
PLACES = 128
# Images whose places are multiplied at once: adding up d² numbers takes longer than making them.
BATCH = 8
# Place of the image among the inputs of an op that reads one.
IMAGE = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """One op that multiplies channels with weights, as a matrix.

    Attributes:
        op: Of the graph.
        weights: `(d, O)`, d the numbers that one output is made of; a transposed convolution's
            outputs are those of one place that it reads.
        bias: `(O,)`; `None` where it has none, or one for several columns.
        ids: `(d,)`, the channel of each row.
        shape: Of the weights as the op has them.
    """

    op: Op
    weights: Array
    bias: Array | None
    ids: Ids
    shape: tuple[int, ...]

    @property
    def source(self) -> str:
        """Name of what it reads."""
        return self.op.inputs[IMAGE[self.op.kind]]

    def rows(self, tensor: Array, *, random: np.random.Generator) -> Array:
        """Return what the weights multiply at some places, `(P, d)`."""
        if self.op.kind == "CONV_2D":
            layer = Convolution(self.op, np.empty(self.shape, np.float32), np.empty(0, np.float32))
            return patches(layer, tensor[0], PLACES, random=random)
        flat = tensor.reshape(-1, len(self.ids))
        if len(flat) > PLACES:
            flat = flat[random.choice(len(flat), PLACES, replace=False)]
        return flat

    def values(self, weights: Array, *, shift: Array) -> dict[str, Array]:
        """Return other weights by the names of their tensors.

        Args:
            weights: `(n, O)`, of the rows that stay.
            shift: `(O,)`, what the bias makes up for.
        """
        out, name = self.shape[0], self.op.inputs[1]
        if self.op.kind == "TRANSPOSE_CONV":
            _, high, wide, _ = self.shape
            whole = weights.reshape(-1, high, wide, out).transpose(3, 1, 2, 0)
        else:
            whole = weights.T.reshape(out, *self.shape[1:-1], -1)
        found = {name: np.ascontiguousarray(whole, np.float32)}
        if self.bias is not None:
            found[self.op.inputs[2]] = np.asarray(self.bias + shift, np.float32)
        return found


def readers(channels: Channels) -> tuple[Reader, ...]:
    """Return all that read channels, but for grouped convolutions."""
    found = []
    graph = channels.graph
    for use in channels.uses:
        op = use.op
        if READS.get(op.kind) != use.axis:
            continue
        weights = np.asarray(graph.value(op.inputs[1]))
        name = op.inputs[IMAGE[op.kind]]
        if op.kind != "FULLY_CONNECTED" and graph.shape(name)[3] != weights.shape[3]:
            continue
        place = 3 if op.kind == "TRANSPOSE_CONV" else 2
        bias = (
            graph.value(op.inputs[place]) if place < len(op.inputs) and op.inputs[place] else None
        )
        if op.kind == "TRANSPOSE_CONV":
            matrix, bias = weights.transpose(3, 1, 2, 0).reshape(weights.shape[3], -1), None
        else:
            matrix = weights.reshape(len(weights), -1).T
        ids = np.resize(channels.roots[use.ids], len(matrix))  # (h, w, I): the channels last
        found.append(Reader(op, matrix, bias, ids, weights.shape))
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Mean `(d,)` and covariance `(d, d)` of what a reader multiplies."""

    mean: Array
    covariance: Array


def moments(
    channels: Channels,
    found: Sequence[Reader],
    inputs: Sequence[Sequence[Array]],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[Reader, Moments]:
    """Run the graph on images; return the moments of each reader.

    Memory does not grow with images: d² numbers a reader.
    """
    squares = {each.op.output: np.zeros((len(each.ids),) * 2, np.float32) for each in found}
    sums = {each.op.output: np.zeros(len(each.ids)) for each in found}
    counts = dict.fromkeys(squares, 0)
    waiting: dict[str, list[Array]] = {name: [] for name in squares}
    taps = tapped(channels.graph, [each.source for each in found], inputs)
    for number, tensors in enumerate(taps, start=1):
        for place, (reader, tensor) in enumerate(zip(found, tensors, strict=True)):
            name, random = reader.op.output, np.random.default_rng((seed, number, place))
            waiting[name].append(reader.rows(tensor, random=random))
            if number % BATCH and number < len(inputs):
                continue
            rows, waiting[name] = np.concatenate(waiting[name]), []
            squares[name] += rows.T @ rows
            sums[name] += rows.sum(axis=0, dtype=np.float64)
            counts[name] += len(rows)
        if progress:
            progress(number, len(inputs))
    made = {}
    for reader in found:
        name = reader.op.output
        covariance = squares[name]
        mean = (sums[name] / counts[name]).astype(np.float32)
        np.divide(covariance, counts[name], out=covariance)
        np.subtract(covariance, np.outer(mean, mean), out=covariance)
        made[reader] = Moments(mean, covariance)
    return made
