"""Weights that are left, refitted so that each layer gives again what it gave before the cut.

In the order of the layers, each one's weights are those of least squares between what it reads now,
with the error that came from above, and what the whole model's layer gave before its activation. No
labels and no gradients: one closed form a layer.

Source: He, Zhang and Sun 2017, "Channel Pruning for Accelerating Very Deep Neural Networks", eq. 1
and section 3.3 (the whole model's output as the target); ridge towards the weights as they were
cut, so that what the images do not tell stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import with_values
from converter.prune.reading import BATCH, PLACES
from converter.quantize.repairs.patches import patches
from converter.quantize.repairs.weights import convolutions
from converter.quantize.running import Halt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Kept
    from converter.quantize.repairs.weights import Convolution
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]

# Of the mean second moment of a layer's inputs: how much the weights as they were count.
RIDGE = 0.01
# Of what is kept of all images at one place, so that nothing before it is run again.
HALT_BYTES = 96 * 2**20
TINY = 1e-12


def healed(
    channels: Channels,
    kept: Kept,
    graph: Graph,
    *,
    inputs: Sequence[Sequence[Array]],
    progress: Progress | None = None,
) -> Graph:
    """Return a pruned graph with its convolutions refitted.

    Args:
        channels: Of the whole.
        kept: What stays.
        graph: That, pruned from the whole.
        inputs: What the model reads of each image.
        progress: Called with (layers done, layers).
    """
    stands = channels.standing(kept)
    before = {layer.name: layer for layer in convolutions(channels.graph)}
    changed = _changed(channels, stands)
    names = [layer.name for layer in convolutions(graph)
             if layer.name in before and layer.source in changed]  # fmt: skip
    runs = [Halt(each, inputs) for each in (channels.graph, graph)]
    for done, name in enumerate(names, start=1):
        whole = before[name]
        for run, each in zip(runs, (channels.graph, graph), strict=True):
            run.move(each, name, most_bytes=HALT_BYTES)
        layer = next(each for each in convolutions(graph) if each.name == name)
        if layer.weights.shape[3] != _read(layer, graph):  # a grouped one
            continue
        wire = channels.wires.get(name)
        rows = slice(None) if wire is None else stands[wire.ids]
        sums = _Sums(layer)
        pairs = zip(
            runs[0].tapped(channels.graph, [whole.source]),
            runs[1].tapped(graph, [layer.source]),
            strict=True,
        )
        rows_found: list[Array] = []
        rows_wanted: list[Array] = []
        for number, ((target,), (source,)) in enumerate(pairs, start=1):
            # The same places of both.
            wanted = patches(whole, target[0], PLACES, random=np.random.default_rng(number))
            rows_wanted.append(given(whole, wanted)[:, rows])
            rows_found.append(
                patches(layer, source[0], PLACES, random=np.random.default_rng(number))
            )
            if number % BATCH == 0 or number == len(inputs):
                sums.add(np.concatenate(rows_found, axis=-2), np.concatenate(rows_wanted))
                rows_found, rows_wanted = [], []
        graph = with_values(graph, sums.solved())
        if progress:
            progress(done, len(names))
    return graph


def _changed(channels: Channels, stands: NDArray[np.bool_]) -> set[str]:
    """Return the tensors that lost channels, or are made of such."""
    found: set[str] = set()
    for op in channels.graph.ops:
        for name in op.outputs:
            wire = channels.wires.get(name)
            if (wire and not stands[wire.ids].all()) or not found.isdisjoint(op.inputs):
                found.add(name)
    return found


def _read(layer: Convolution, graph: Graph) -> int:
    """Return the depth of the weights if the layer is no grouped convolution."""
    return layer.weights.shape[3] if layer.is_depthwise else graph.shape(layer.source)[3]


def given(layer: Convolution, rows: Array) -> Array:
    """Return what a convolution gives for patches before its activation, `(P, O)`."""
    if not layer.is_depthwise:
        return np.asarray(rows @ layer.weights.reshape(len(layer.weights), -1).T + layer.bias)
    taps = layer.weights.reshape(-1, layer.weights.shape[3])  # (h * w, C * m)
    many = np.repeat(rows, taps.shape[1] // len(rows), axis=0)  # (C * m, P, h * w)
    return np.asarray(np.einsum("cpd,dc->pc", many, taps) + layer.bias)


class _Sums:
    """Running sums of the normal equations of one layer; memory does not grow with images.

    A depthwise layer is one small system for each channel, any other one for all its outputs.
    """

    def __init__(self, layer: Convolution) -> None:
        self._layer = layer
        out, *_, depth = layer.weights.shape
        lead: tuple[int, ...] = ()
        self._old = layer.weights.reshape(out, -1).T  # (d, O)
        if layer.is_depthwise:
            lead = (depth,)
            self._old = layer.weights.reshape(-1, depth).T[:, :, None]  # (C, d, 1)
        size = self._old.shape[-2]
        # Sums of 10,000 rows in float32 are exact to 1e-5, far below the ridge.
        self._squares = np.zeros((*lead, size, size), np.float32)
        self._products = np.zeros(self._old.shape, np.float32)
        self._rows = np.zeros((*lead, size))
        self._targets = np.zeros(depth if layer.is_depthwise else out)
        self._count = 0

    def add(self, rows: Array, targets: Array) -> None:
        """Add patches, `(P, d)` or depthwise `(C, P, d)`, and what they should give, `(P, O)`."""
        self._targets += targets.sum(axis=0, dtype=np.float64)
        self._count += len(targets)
        if self._layer.is_depthwise:
            rows = np.repeat(rows, targets.shape[1] // len(rows), axis=0)
            targets = targets.T[:, :, None]
        turned = np.swapaxes(rows, -1, -2)
        self._squares += turned @ rows
        self._products += turned @ targets
        self._rows += rows.sum(axis=-2, dtype=np.float64)

    def solved(self) -> dict[str, Array]:
        """Return weights and bias by the names of their tensors."""
        mean, target = self._rows / self._count, self._targets / self._count
        each = target[:, None, None] if self._layer.is_depthwise else target
        self._products /= self._count
        self._products -= (mean[..., None] * each).astype(np.float32)
        self._squares /= self._count
        self._squares -= (mean[..., :, None] * mean[..., None, :]).astype(np.float32)
        size = self._squares.shape[-1]
        scale = np.trace(self._squares, axis1=-2, axis2=-1) / size
        ridge = np.maximum(RIDGE * scale, TINY)[..., None].astype(np.float32)
        places = np.arange(size)
        self._squares[..., places, places] += ridge
        self._products += ridge[..., None] * self._old
        found = np.linalg.solve(self._squares, self._products)
        shape = self._layer.weights.shape
        if self._layer.is_depthwise:
            bias = target - (mean * found[..., 0]).sum(axis=1)
            return self._layer.values(weights=found[..., 0].T.reshape(shape), bias=bias)
        return self._layer.values(weights=found.T.reshape(shape), bias=target - mean @ found)
