"""Float graphs run on images, for some of their tensors."""

from __future__ import annotations

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


def prepared(images: Sequence[Path], transform: InputTransform) -> list[Array]:
    """Return what a model sees of each image, `(1, H, W, C)` float32.

    Raises:
        SourceError: An image cannot be read.
    """
    preprocessor = Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32))
    found = [np.zeros(transform.shape, np.float32) for _ in images]
    for path, buffer in zip(images, found, strict=True):
        preprocessor.fill_input(load_image(path), buffer)
    return found


def tapped(
    graph: Graph, names: Sequence[str], inputs: Sequence[Array], *, threads: int = 2
) -> Iterator[list[Array]]:
    """Run only what some tensors need, and yield them for each input; they are the caller's."""
    wanted = tuple(dict.fromkeys(names))
    part = tidied(replace(graph, outputs=wanted))
    runtime = open_interpreter(write(part), Path("float model"), threads=threads)
    source = runtime.get_input_details()[0]["index"]
    places = dict(zip(wanted, (row["index"] for row in runtime.get_output_details()), strict=True))
    for values in inputs:
        runtime.set_tensor(source, values)
        runtime.invoke()
        yield [runtime.get_tensor(places[name]) for name in names]
