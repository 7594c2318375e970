"""What a float graph's int8 model takes: its time here, or its multiplications."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from calibration.ranges import Range
from converter.judge.latency import measure as measure_models
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from converter.quantize.running import tapped
from edge.benchmark import layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]

# Of a tensor that is zero on all images.
LEAST_RANGE = 1e-3


class Measure(Protocol):
    """What is to become less of a graph.

    Attributes:
        what: It, as a target is told.
    """

    what: str

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return what each op of a graph takes, by the name of what it makes."""

    def gain(self, graph: Graph) -> float:
        """Return how many times less another graph takes than the whole one."""


class Times:
    """Of the int8 model, as far as no weight matters: CPU time of one thread on this machine.

    Args:
        file: Of the float model.
        whole: Its graph.
        inputs: What the model reads of a few images, for ranges as the delivered model has them.
    """

    what = "times as fast"

    def __init__(self, file: ModelFile, whole: Graph, inputs: Sequence[Sequence[Array]]) -> None:
        names = (*whole.inputs, *(name for op in whole.ops for name in op.outputs))
        seen = {name: Range(0.0, LEAST_RANGE) for name in names}
        for tensors in tapped(whole, names, inputs):
            for name, values in zip(names, tensors, strict=True):
                seen[name] = seen[name].merge(Range(float(values.min()), float(values.max())))
        self._file, self._ranges = file, seen
        self._whole = self._int8_like(whole)

    def _int8_like(self, graph: Graph) -> ModelFile:
        """Return a file whose int8 graph is as fast as that of a float graph."""
        made = quantize(graph, self._ranges, load_recipe("int8"), path=self._file.path)
        return replace(self._file, flatbuffer=made.flatbuffer)

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return microseconds of each op."""
        timed = layers.measure(self._int8_like(graph), clock=time.thread_time_ns, progress=progress)
        return {layer.output: layer.time_us for layer in timed.layers}

    def gain(self, graph: Graph) -> float:
        """Return how many times as fast a graph is; both are measured in turn."""
        models = {"whole": self._whole, "cut": self._int8_like(graph)}
        found = measure_models(models, clock=time.thread_time_ns)
        return found["whole"].median_ms / found["cut"].median_ms


class Macs:
    """Multiplications of the convolutions and of what else has weights."""

    what = "times fewer multiplications"

    def __init__(self, whole: Graph) -> None:
        self._whole = macs(whole)

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:  # noqa: ARG002
        """Return those of each op."""
        return macs(graph)

    def gain(self, graph: Graph) -> float:
        """Return how many times fewer a graph has."""
        return sum(self._whole.values()) / sum(macs(graph).values())


WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def macs(graph: Graph) -> dict[str, float]:
    """Return the multiplications of each op with weights, by the name of what it makes."""
    found = {}
    for op in graph.ops:
        if op.kind in (*WEIGHTED, "TRANSPOSE_CONV"):
            at = op.output if op.kind in WEIGHTED else op.inputs[2]
            places = math.prod(graph.shape(at)[:-1])
            found[op.output] = float(places * math.prod(graph.shape(op.inputs[1])))
    return found
