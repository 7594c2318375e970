"""What a float graph's int8 model takes: its time here or on a board, or its multiplications."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from calibration.ranges import Range
from converter.graph.reading import read
from converter.judge.latency import measure as measure_models
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from converter.quantize.running import tapped
from edge.benchmark import layers
from edge.errors import ConfigError

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
# Of what stands between the two halves of a layer: numbers of variance 1.
SPLIT_RANGE = Range(-4.0, 4.0)
# Of a board's time, what must be of ops that the model has.
KNOWN_SHARE = 0.5
US_PER_MS = 1e3


class Measure(Protocol):
    """What is to become less of a model.

    Attributes:
        what: It, as a target is told.
    """

    what: str

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return what each op of a graph takes, by the name of what it makes."""

    def gain(self, file: ModelFile) -> float:
        """Return how many times less another float model takes than the whole one."""


class Times:
    """Of the int8 model, as far as no weight matters: CPU time of one thread on this machine.

    Args:
        file: The whole float model.
        inputs: What the model reads of a few images, for ranges as the delivered model has them.
    """

    what = "times as fast"

    def __init__(self, file: ModelFile, inputs: Sequence[Sequence[Array]]) -> None:
        whole = read(file.flatbuffer, file.path)
        names = (*whole.inputs, *(name for op in whole.ops for name in op.outputs))
        seen = {name: Range(0.0, LEAST_RANGE) for name in names}
        for tensors in tapped(whole, names, inputs):
            for name, values in zip(names, tensors, strict=True):
                seen[name] = seen[name].merge(Range(float(values.min()), float(values.max())))
        self._file, self._ranges = file, seen

    def _int8_like(self, graph: Graph, file: ModelFile) -> ModelFile:
        """Return a file whose int8 graph is as fast as that of a float graph."""
        ranges = {op.output: SPLIT_RANGE for op in graph.ops} | self._ranges
        made = quantize(graph, ranges, load_recipe("int8"), path=file.path)
        return replace(file, flatbuffer=made.flatbuffer)

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:
        """Return microseconds of each op."""
        file = self._int8_like(graph, self._file)
        timed = layers.measure(file, clock=time.thread_time_ns, progress=progress)
        return {layer.output: layer.time_us for layer in timed.layers}

    def gain(self, file: ModelFile) -> float:
        """Return how many times as fast a model is; both are measured in turn."""
        whole_ms, other_ms = _medians_ms(self._whole_int8, self._int8_of(file))
        return whole_ms / other_ms

    @property
    def whole_ms(self) -> float:
        """What the whole model takes."""
        return _medians_ms(self._whole_int8)[0]

    @cached_property
    def _whole_int8(self) -> ModelFile:
        """Quantised once: each time takes a child process, seconds of CPU."""
        return self._int8_of(self._file)

    def _int8_of(self, file: ModelFile) -> ModelFile:
        return self._int8_like(read(file.flatbuffer, file.path), file)


def _medians_ms(*files: ModelFile) -> list[float]:
    models = {str(place): file for place, file in enumerate(files)}
    found = measure_models(models, clock=time.thread_time_ns)
    return [latency.median_ms for latency in found.values()]


def has_tiles() -> bool:
    """Return whether this CPU has AMX tiles, as no board: of 64 channels, half take as long."""
    try:
        return "amx_int8" in Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False


class Macs:
    """Multiplications of the convolutions and of what else has weights."""

    what = "times fewer multiplications"

    def __init__(self, file: ModelFile) -> None:
        self._whole = sum(macs(read(file.flatbuffer, file.path)).values())

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:  # noqa: ARG002
        """Return those of each op."""
        return macs(graph)

    def gain(self, file: ModelFile) -> float:
        """Return how many times fewer another model has."""
        return self._whole / sum(macs(read(file.flatbuffer, file.path)).values())


class Board:
    """Times of a board: what each op of the whole int8 model took there, by its share of work.

    An estimate: an op is taken to last as long as what it multiplies, or else makes, is much.

    Args:
        path: What `edge bench MODEL --layers --json` wrote there.
        file: The whole float model.

    Raises:
        ConfigError: It is no such file, or one of another model.
    """

    def __init__(self, path: Path, file: ModelFile) -> None:
        whole = read(file.flatbuffer, file.path)
        self._work = _work(whole)
        rows = _rows(path)
        shares = [_known(row, self._work) for row in rows]
        best = max(range(len(rows)), key=shares.__getitem__, default=None)
        if best is None or shares[best] < KNOWN_SHARE:
            raise ConfigError(
                f"{path}: expected the times of {file.description.name}'s ops, found those of "
                f"{', '.join(repr(row['model']) for row in rows) or 'no model'}; make it on the "
                "board with: edge bench MODEL.tflite --layers --json FILE, of the unpruned model"
            )
        times = {row["output"]: float(row["time_us"]) for row in rows[best]["layers"]}
        self._times = {name: us for name, us in times.items() if name in self._work}
        self._rest = sum(times.values()) - sum(self._times.values())
        self.whole_ms = float(rows[best]["whole_us"]) / US_PER_MS
        self.what = f"times as fast by {path.name} (an estimate)"

    def of_ops(self, graph: Graph, *, progress: Progress | None = None) -> Mapping[str, float]:  # noqa: ARG002
        """Return microseconds of each op."""
        work, found = _work(graph), {}
        for op in graph.ops:
            # The half of a layer that is new lasts as the other does.
            name = op.output if op.output in self._work else graph.readers[op.output][0].output
            if name in self._times:
                found[op.output] = self._times[name] * work[op.output] / self._work[name]
        return found

    def gain(self, file: ModelFile) -> float:
        """Return how many times as fast another model should be."""
        left = self.of_ops(read(file.flatbuffer, file.path))
        return (sum(self._times.values()) + self._rest) / (sum(left.values()) + self._rest)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["models"]
        is_sound = all(
            {"model", "whole_us"} <= row.keys()
            and all({"output", "time_us"} <= layer.keys() for layer in row["layers"])
            for row in rows
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise ConfigError(
            f"{path}: expected the JSON of edge bench --layers, found another file or none; make "
            "it with: edge bench MODEL.tflite --layers --json FILE"
        )
    return rows


def _known(row: Mapping[str, Any], names: Mapping[str, float]) -> float:
    """Return the share of a board's time that is of these ops."""
    total = sum(layer["time_us"] for layer in row["layers"])
    known = sum(layer["time_us"] for layer in row["layers"] if layer["output"] in names)
    return float(known / total) if total else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """What the user wants: one of these.

    Attributes:
        speedup: How many times as fast.
        macs: Part of the multiplications that is to be left.
        latency_ms: What an invoke is to take.
        layers: Times of a board's ops, in place of this machine's.
    """

    speedup: float | None = None
    macs: float | None = None
    latency_ms: float | None = None
    layers: Path | None = None

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.speedup}-{self.macs}-{self.latency_ms}"

    def measured(self, file: ModelFile, inputs: Sequence[Sequence[Array]]) -> tuple[Measure, float]:
        """Return what is to become less of a model, and how many times.

        Raises:
            ConfigError: Nothing has to be done, or the board's file is of another model.
        """
        if self.macs is not None:
            return Macs(file), 1 / self.macs
        times = Board(self.layers, file) if self.layers else Times(file, inputs)
        if self.latency_ms is None:
            return times, self.speedup or 1.0
        whole_ms = times.whole_ms
        if whole_ms <= self.latency_ms:
            raise ConfigError(
                f"--latency-ms {self.latency_ms:g}: expected less than the whole int8 model takes "
                f"{'by ' + self.layers.name if self.layers else 'here'}, found that it takes "
                f"{whole_ms:.2f} ms already; leave it out"
            )
        return times, whole_ms / self.latency_ms


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


def _work(graph: Graph) -> dict[str, float]:
    """Return what each op multiplies, or else how many numbers it makes."""
    made = {op.output: float(math.prod(graph.shape(op.output))) for op in graph.ops}
    return made | macs(graph)
