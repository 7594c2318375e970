"""How long the int8 model of a float graph takes, as far as no weight and no range matters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration.ranges import Range
from converter.judge.latency import measure as measure_models
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from edge.benchmark import layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress


def int8_like(file: ModelFile, graph: Graph) -> ModelFile:
    """Return a file whose int8 graph is as fast as that of a float graph; its numbers mean nothing.

    Args:
        file: Of the float model, or of one that it was pruned from.
        graph: Float.
    """
    names = (*graph.inputs, *(name for op in graph.ops for name in op.outputs))
    ranges = {name: Range(-1.0, 1.0) for name in names}
    made = quantize(graph, ranges, load_recipe("int8"), path=file.path)
    return replace(file, flatbuffer=made.flatbuffer)


def op_times_us(
    file: ModelFile, graph: Graph, *, progress: Progress | None = None
) -> dict[str, float]:
    """Return microseconds of each op of the int8 model, by the name of what it makes."""
    timed = layers.measure(int8_like(file, graph), progress=progress)
    return {layer.output: layer.time_us for layer in timed.layers}


def speedups(file: ModelFile, whole: Graph, graphs: Sequence[Graph]) -> list[float]:
    """Return how many times as fast each int8 model is as the whole one's, all measured in turn."""
    named = {str(number): int8_like(file, graph) for number, graph in enumerate((whole, *graphs))}
    found = measure_models(named)
    return [
        found["0"].median_ms / found[str(number)].median_ms for number in range(1, len(graphs) + 1)
    ]
