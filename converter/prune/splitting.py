"""Layers of lower rank: a convolution becomes a thinner one and one of 1x1 behind it.

What a layer gives on images lies near a space of fewer dimensions than it has channels. The first
of the two gives the coordinates there, the second makes the channels of them; both together
multiply less, and nothing that reads the layer sees fewer channels.

Source: Zhang, Zou, He and Sun 2016, "Accelerating Very Deep Convolutional Networks for
Classification and Detection", section 3.1: principal components of what a layer gives. A refit of
what is left gained nothing (error of the outputs of yolov3-tiny 0.136, and 0.134 to 0.141 by it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from converter import export
from converter.graph.edits import with_ops
from converter.graph.reading import read
from converter.graph.values import Tensor
from converter.graph.writing import write
from converter.prune.channels import MULTIPLE
from converter.prune.healing import given
from converter.prune.planning import counts
from converter.prune.pruning import TOOLS, Pruned
from converter.prune.reading import PLACES
from converter.prune.searching import NEAR, Ladder, examples, ladder, noted, search
from converter.prune.stages import NOT_KEPT
from converter.quantize.repairs.patches import patches
from converter.quantize.repairs.weights import convolutions
from converter.quantize.running import Halt, tapped
from edge.errors import ModelError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Kept
    from converter.prune.measures import Measure
    from converter.prune.stages import Stages
    from converter.quantize.repairs.weights import Convolution
    from edge.model.model_file import ModelFile

    Array = NDArray[np.float32]

# Of a layer's multiplications, what two thinner ones must leave at the most to be worth an op.
WORTH = 0.9
# Of the greatest variance, the least: of what never changes, rounding is all there is.
TINY = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Principal components of what a layer gives before its activation, the greatest first.

    Attributes:
        layer: The convolution.
        mean: `(O,)`.
        deviations: Standard deviation along each, `(O,)`.
        axes: Unit vectors, `(O, O)`, one a column.
    """

    layer: Convolution
    mean: NDArray[np.float64]
    deviations: NDArray[np.float64]
    axes: NDArray[np.float64]

    @property
    def growth(self) -> float:
        """What the second layer multiplies of what the first one does."""
        return float(len(self.mean) / np.prod(self.layer.weights.shape[1:]))

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many may stay, falling."""
        full = len(self.mean)
        return tuple(r for r in counts(full) if r / full * (1 + self.growth) <= WORTH)

    def split(self, graph: Graph, rank: int) -> Graph:
        """Return a graph in which the layer is two, between them this many coordinates.

        Each varies as much as the others, so that one int8 scale fits them all.
        """
        layer, out = self.layer, len(self.mean)
        op, axes, deviations = layer.op, self.axes[:, :rank], self.deviations[:rank]
        inner = (axes / deviations).T
        values = {
            "weights": (inner @ layer.weights.reshape(out, -1)).reshape(
                rank, *layer.weights.shape[1:]
            ),
            "bias": inner @ (layer.bias - self.mean),
            "back": (axes * deviations).reshape(out, 1, 1, rank),
            "mean": self.mean,
        }
        name = f"{layer.name}/low"
        tensors = [
            Tensor(f"{name}/{key}", value.shape, value=np.ascontiguousarray(value, np.float32))
            for key, value in values.items()
        ]
        first, bias, second, mean = (tensor.name for tensor in tensors)
        plain = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
        pair = (
            replace(op, inputs=(op.inputs[0], first, bias), outputs=(name,),
                    options={**op.options, "fusedActivationFunction": "NONE"}),
            replace(op, inputs=(name, second, mean),
                    options={**op.options, **plain, "padding": "VALID"}),
        )  # fmt: skip
        low = Tensor(name, (*graph.shape(layer.name)[:3], rank))
        return with_ops(graph, {graph.producers[layer.name]: pair}, tensors=[*tensors, low])


def components(graph: Graph, inputs: Sequence[Sequence[Array]]) -> dict[str, Components]:
    """Return those of all layers that may be two thinner ones, by what each makes."""
    layers = [
        layer for layer in convolutions(graph)
        if not layer.is_depthwise and layer.weights.shape[3] == graph.shape(layer.source)[3]
    ]  # fmt: skip
    sums = {layer.name: np.zeros(len(layer.bias)) for layer in layers}
    squares = {layer.name: np.zeros((len(layer.bias),) * 2) for layer in layers}
    count = dict.fromkeys(sums, 0)
    with bar("components") as progress:
        taps = tapped(graph, [layer.source for layer in layers], inputs)
        for number, tensors in enumerate(taps, start=1):
            for place, (layer, tensor) in enumerate(zip(layers, tensors, strict=True)):
                random = np.random.default_rng((number, place))
                rows = given(layer, patches(layer, tensor[0], PLACES, random=random))
                sums[layer.name] += rows.sum(axis=0)
                squares[layer.name] += rows.T @ rows
                count[layer.name] += len(rows)
            if progress:
                progress(number, len(inputs))
    found = {}
    for layer in layers:
        name = layer.name
        mean = sums[name] / count[name]
        variances, axes = np.linalg.eigh(squares[name] / count[name] - np.outer(mean, mean))
        least = max(float(variances[-1]) * TINY, TINY)
        made = Components(layer, mean, np.sqrt(np.maximum(variances[::-1], least)), axes[:, ::-1])
        if made.ranks:
            found[name] = made
    return found


def finer(found: Ladder) -> Ladder:
    """Return a ladder of all multiples of `MULTIPLE` between its steps, their errors between."""
    ranks = [int(mask.sum()) for mask in found.kept]
    steps = [ranks[0], *range(ranks[1], ranks[-1] - 1, -MULTIPLE)] if len(ranks) > 1 else ranks
    errors = np.interp(steps, ranks[::-1], found.errors[::-1])
    return Ladder(tuple(np.arange(ranks[0]) < rank for rank in steps), tuple(map(float, errors)))


class SplitCosts:
    """What a graph's ops take, and what is left of that once layers are two thinner ones.

    Args:
        parts: The layers.
        of_ops: Cost of each op of the whole graph, by what it makes.
    """

    def __init__(self, parts: Mapping[str, Components], of_ops: Mapping[str, float]) -> None:
        self._costs = np.array([of_ops.get(name, 0.0) for name in parts])
        self._growth = np.array([1 + part.growth for part in parts.values()])
        self.whole = float(sum(of_ops.values()))

    def left(self, ratios: Sequence[float]) -> float:
        """Return the cost once each layer, in their order, has such a part of its rank."""
        found = np.array(ratios)
        left = np.where(found < 1, found * self._growth, 1.0)
        return float(self.whole - self._costs @ (1 - left))


class Splitter:
    """A float model, and what fewer dimensions of each layer cost and save.

    Args:
        file: Float, of ours.
        images: Plain ones; a quarter of them is held back to say what was lost.
        stages: What an interrupted run did already.
        name: Of this model among its stages.

    Raises:
        SourceError: An image cannot be read.
    """

    def __init__(
        self, file: ModelFile, images: Sequence[Path], *, stages: Stages = NOT_KEPT, name: str = ""
    ) -> None:
        self._file, self._whole = file, read(file.flatbuffer, file.path)
        self._stages, self._name = stages, f"{name}split-"
        self._examples = examples(self._whole, images, file.description.input)

    @cached_property
    def _parts(self) -> dict[str, Components]:
        found = components(self._whole, self._examples.fitted)
        if not found:
            raise ModelError(
                f"{self._file.path}: expected layers that may be two thinner ones, found none: "
                "each makes too few channels, or of too few; leave --lever out"
            )
        return found

    @cached_property
    def _ladders(self) -> dict[str, Ladder]:
        looks = self._examples.looks
        run = Halt(self._whole, looks.inputs)
        found = {}
        with bar("sensitivity", unit="layers") as progress:
            for done, (name, part) in enumerate(self._parts.items(), start=1):
                run.move(self._whole, name)
                full = len(part.mean)
                steps = ((np.arange(full) < rank, part.split(self._whole, rank))
                         for rank in part.ranks)  # fmt: skip
                found[name] = finer(ladder(run, looks, steps, full=full))
                if progress:
                    progress(done, len(self._parts))
        return found

    def split(self, measure: Measure, times: float, *, start: float = 1.0) -> Pruned:
        """Return the model with layers of lower rank, so that it takes so many times less.

        Args:
            measure: Of what.
            times: Above 1.
            start: How many times less it takes as it is than what is measured against.

        Raises:
            ModelError: That is out of reach.
        """
        name = f"{self._name}{measure.what.split()[-1]}-{times:g}"
        kept, gain = self._cut(measure, times, name=name, start=start)
        graph = self._edited(kept)
        step = (
            f"split: {gain:.2f} {measure.what}, {len(kept)} of {len(self._parts)} layers of lower "
            f"rank, by principal components on {len(self._examples.fitted)} images"
        )
        error = self._examples.tests.error_of(graph)
        return Pruned(
            file=export.remade(self._file, write(graph), step, tools=versions(TOOLS)),
            step=step,
            gain=gain,
            what=measure.what,
            rows=tuple((key, int(mask.sum()), len(mask)) for key, mask in kept.items()),
            cut_error=error,
            error=error,
        )

    def _cut(
        self, measure: Measure, times: float, *, name: str, start: float
    ) -> tuple[Kept, float]:
        def make() -> tuple[Kept, float]:
            with bar("time ops") as progress:
                costs = SplitCosts(self._parts, measure.of_ops(self._whole, progress=progress))
            kept, gain = search(
                self._ladders, costs, start=start, times=times,
                gain=lambda kept: measure.gain(
                    replace(self._file, flatbuffer=write(self._edited(kept)))
                ),
            )  # fmt: skip
            if gain <= times * (1 - NEAR):
                raise ModelError(
                    f"{self._file.path}: expected {times:g} {measure.what} to be in reach of "
                    f"layers of lower rank, found {gain:.2f} at most; ask for less"
                )
            return kept, gain

        return noted(self._stages, f"{name}-cut", make)

    def _edited(self, kept: Kept) -> Graph:
        graph = self._whole
        for name, mask in kept.items():
            graph = self._parts[name].split(graph, int(mask.sum()))
        return graph
