"""Float graphs run on images, for some of their tensors."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import tidied
from converter.graph.writing import write
from edge.capture.images import load_image
from edge.model.backends.litert import open_interpreter
from edge.model.quant import Quant
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from edge.model.description import InputTransform

    Array = NDArray[np.float32]

BYTES = 4  # of a float


def prepared(images: Sequence[Path], transform: InputTransform) -> list[list[Array]]:
    """Return what a model reads of each image: its one input, `(1, H, W, C)` float32.

    Raises:
        SourceError: An image cannot be read.
    """
    preprocessor = Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32))
    found = [[np.zeros(transform.shape, np.float32)] for _ in images]
    for path, (buffer,) in zip(images, found, strict=True):
        preprocessor.fill_input(load_image(path), buffer)
    return found


def tapped(
    graph: Graph, names: Sequence[str], inputs: Sequence[Sequence[Array]], *, threads: int = 2
) -> Iterator[list[Array]]:
    """Run only what some tensors need, and yield them for each image; they are the caller's.

    Args:
        graph: Float.
        names: Of the tensors; an input is given back as it is.
        inputs: For each image what the graph's inputs get, in their order.
        threads: Of the interpreter.
    """
    wanted = tuple(name for name in dict.fromkeys(names) if name not in graph.inputs)
    part = tidied(replace(graph, outputs=wanted))
    read = {name for op in part.ops for name in op.inputs}
    part = replace(part, inputs=tuple(name for name in graph.inputs if name in read))
    runtime = (
        open_interpreter(write(part), Path("float model"), threads=threads) if wanted else None
    )
    for values in inputs:
        found = dict(zip(graph.inputs, values, strict=True))
        if runtime:
            for name, row in zip(part.inputs, runtime.get_input_details(), strict=True):
                runtime.set_tensor(row["index"], found[name])
            runtime.invoke()
            for name, row in zip(wanted, runtime.get_output_details(), strict=True):
                found[name] = runtime.get_tensor(row["index"])
        yield [found[name] for name in names]


class Halt:
    """How far a graph was run on some images: what comes before is not run again.

    Args:
        graph: Float.
        inputs: For each image what the graph's inputs get.
    """

    def __init__(self, graph: Graph, inputs: Sequence[Sequence[Array]]) -> None:
        self._names, self._values = graph.inputs, inputs
        self._at = 0

    def tapped(self, graph: Graph, names: Sequence[str]) -> Iterator[list[Array]]:
        """As the function; of a graph that is the same up to here."""
        part = replace(graph, inputs=self._names, ops=graph.ops[self._at :])
        return tapped(part, names, self._values)

    def move(self, graph: Graph, name: str, *, most_bytes: float = math.inf) -> None:
        """Go on to the op that makes this, unless what it and all behind it read is too large."""
        at = graph.ops.index(graph.producers[name])
        made = [*graph.inputs, *(output for op in graph.ops[:at] for output in op.outputs)]
        read = {name for op in graph.ops[at:] for name in op.inputs}.union(graph.outputs)
        live = tuple(name for name in made if name in read)
        size = sum(math.prod(graph.shape(name)) for name in live) * len(self._values) * BYTES
        if size <= most_bytes:
            self._values = list(self.tapped(graph, live))
            self._names, self._at = live, at
