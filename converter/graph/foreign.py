"""A float `.tflite` that others made as a `Graph`: refused by name, or spelt as ours are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import tidied
from converter.graph.folding import folded
from converter.graph.own_biases import biased
from converter.graph.reading import read, read_bytes, sound
from converter.graph.values import ABSENT, Graph
from converter.graph.writing import CALLS, write
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Shapes = Mapping[str, tuple[int, ...]]

MAX_BYTES = 2**30
POSTPROCESS, EDGE_TPU_OP = "TFLite_Detection_PostProcess", "edgetpu-custom-op"
QUANTISED = ("int4", "int8", "uint8", "int16")


def read_foreign(path: Path, *, shapes_of: Callable[[bytes], Shapes]) -> Graph:
    """Return the graph of a float model: batch 1, float32, with biases, shapes fixed, grids folded.

    What only a decode tail has (a loop, integers) is not refused: cut it off, then `refuse_unfit`.

    Args:
        path: A `.tflite`.
        shapes_of: Returns the shapes of a model's tensors by name, as LiteRT works them out when it
            runs; asked only where the file leaves some open.

    Raises:
        ModelError: It is missing, damaged, too large, compiled for the Edge TPU, takes quantised
            images, leaves their size open or has a custom op.
    """
    data = read_bytes(path)
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path}: expected at most {MAX_BYTES} bytes, found {len(data)}")
    graph = read(data, path)
    _refuse_custom(graph, path)
    for name in graph.inputs:
        _refuse_quantised(graph.tensors[name].dtype, "an input", path)
    graph = _with_batch_1(graph, path)
    with sound(path, "one whose ops contradict each other"):
        graph = biased(unpacked_float16(graph))
        if any(tensor.open_axes for tensor in graph.tensors.values()):
            graph = with_shapes(graph, shapes_of(write(graph)))
        return folded(graph)


def _with_batch_1(graph: Graph, path: Path) -> Graph:
    """Fix the batch of the inputs. What it comes to further on, as in B * 9 rows, LiteRT knows."""
    tensors = dict(graph.tensors)
    for name in graph.inputs:
        tensor = tensors[name]
        if tensor.open_axes not in ((), (0,)):
            raise ModelError(
                f"{path}: expected images of one size, found input {name!r} of shape "
                f"{list(tensor.open_shape)}, "
                "where -1 is open; export the model with a fixed height and width"
            )
        if tensor.open_axes:
            tensors[name] = replace(tensor, shape=(1, *tensor.shape[1:]), open_axes=())
    return replace(graph, tensors=tensors)


def with_shapes(graph: Graph, shapes: Shapes) -> Graph:
    """Return the graph whose computed tensors have these shapes, by name."""
    tensors = {
        name: replace(tensor, shape=shapes[name], open_axes=())
        if name in shapes and tensor.value is None
        else tensor
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)


def refuse_unfit(graph: Graph, path: Path) -> None:
    """Refuse a graph that is to be converted but holds what we cannot.

    Raises:
        ModelError: It branches or loops, or computes with quantised numbers.
    """
    for op in graph.ops:
        if op.kind in CALLS:
            raise ModelError(f"{path}: op {op.kind} branches or loops; export it without")
        for name in (*op.inputs, *op.outputs):
            if name != ABSENT:
                _refuse_quantised(graph.tensors[name].dtype, op.kind, path)


def unpacked_float16(graph: Graph) -> Graph:
    """Return the graph whose constants of half precision behind DEQUANTIZE are float32."""
    tensors = dict(graph.tensors)
    kept = []
    for op in graph.ops:
        half = graph.value(op.inputs[0]) if op.kind == "DEQUANTIZE" else None
        if half is None or half.dtype != np.float16:
            kept.append(op)
        else:
            tensors[op.output] = replace(tensors[op.output], value=half.astype(np.float32))
    return tidied(replace(graph, tensors=tensors, ops=tuple(kept)))


def _refuse_custom(graph: Graph, path: Path) -> None:
    for op in graph.ops:
        if op.kind == EDGE_TPU_OP:
            raise ModelError(
                f"{path}: expected a float model, found one compiled for the Edge TPU; "
                "give the file that it was compiled from"
            )
        if op.custom is not None and op.kind != POSTPROCESS:
            raise ModelError(
                f"{path}: op {op.kind!r} is a custom one, which only its own runtime has; "
                "export the model with builtin ops"
            )


def _refuse_quantised(dtype: str, kind: str, path: Path) -> None:
    if dtype in QUANTISED:
        raise ModelError(
            f"{path}: expected a float model, found {kind} with {dtype} numbers; "
            "give the float file that it was made of"
        )
