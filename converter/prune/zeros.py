"""Weights that become zero, for the size of a download: no kernel skips them."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np

from converter import export
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune.measures import WEIGHTED
from edge.terminal.version import versions

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile

MIB, PERCENT = 2**20, 100


def with_zeros(file: ModelFile, ratio: float) -> ModelFile:
    """Return a float model in which this part of each layer's weights, the least, is zero."""
    graph = read(file.flatbuffer, file.path)
    values = {}
    for op in graph.ops:
        weights = graph.value(op.inputs[1]) if op.kind in (*WEIGHTED, "TRANSPOSE_CONV") else None
        if weights is not None:
            sizes = np.abs(weights)
            values[op.inputs[1]] = np.where(sizes <= np.quantile(sizes, ratio), 0, weights).astype(
                weights.dtype
            )
    step = f"{PERCENT * ratio:g} % of the weights are zero, for the download: they speed nothing up"
    flatbuffer = write(with_values(graph, values))
    return export.remade(file, flatbuffer, step, tools=versions(("numpy",)))


def download_text(file: ModelFile) -> str:
    """Return what a file is as it lies on the board, and as gzip sends it."""
    sent = len(gzip.compress(file.flatbuffer)) / MIB
    return (
        f"{len(file.flatbuffer) / MIB:.2f} MiB, {sent:.2f} MiB as gzip sends it; zeros among the "
        "weights speed nothing up and save no memory"
    )
