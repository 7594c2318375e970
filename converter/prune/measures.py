"""What a float graph's int8 model takes: its time here, or its multiplications."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from calibration.ranges import Range
from converter.judge.latency import measure as measure_models
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from edge.benchmark import layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress


class Measure(Protocol):
    """What is to become less of a graph.

    Attributes:
        what: It, as a target is told.
    """

    what: str

    def of_ops(self, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return what each op takes, by the name of what it makes."""

    def gain(self, graph: Graph) -> float:
        """Return how many times less another graph takes than the whole one."""


class Times:
    """Of the int8 model, as far as no weight and no range matters; measured on this machine."""

    what = "times as fast"

    def __init__(self, file: ModelFile, whole: Graph) -> None:
        self._file, self._whole = file, self.int8_like(file, whole)

    @staticmethod
    def int8_like(file: ModelFile, graph: Graph) -> ModelFile:
        """Return a file whose int8 graph is as fast as that of a float graph; it says nothing."""
        names = (*graph.inputs, *(name for op in graph.ops for name in op.outputs))
        ranges = {name: Range(-1.0, 1.0) for name in names}
        made = quantize(graph, ranges, load_recipe("int8"), path=file.path)
        return replace(file, flatbuffer=made.flatbuffer)

    def of_ops(self, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return microseconds of each op."""
        timed = layers.measure(self._whole, progress=progress)
        return {layer.output: layer.time_us for layer in timed.layers}

    def gain(self, graph: Graph) -> float:
        """Return how many times as fast a graph is; both are measured in turn."""
        found = measure_models({"whole": self._whole, "cut": self.int8_like(self._file, graph)})
        return found["whole"].median_ms / found["cut"].median_ms


class Macs:
    """Multiplications of the convolutions and of what else has weights."""

    what = "times fewer multiplications"

    def __init__(self, whole: Graph) -> None:
        self._whole = macs(whole)

    def of_ops(self, *, progress: Progress | None = None) -> Mapping[str, float]:  # noqa: ARG002
        """Return those of each op."""
        return self._whole

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
