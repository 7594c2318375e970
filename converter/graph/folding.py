"""Ops that read nothing but constants, computed once: how exporters write shapes and grids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.edits import tidied
from converter.graph.values import ABSENT, Graph, Op, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Values = Sequence[NDArray[Any]]

# Of an output. The corners of a grid of 25,200 boxes are 100,800 numbers.
MAX_ELEMENTS = 2**20


def folded(graph: Graph) -> Graph:
    """Return the graph whose ops on constants are constants, as far as `FOLDS` knows them.

    The shape of a tensor counts as one where the file does not leave it open. Outputs of the graph
    stay computed.
    """
    tensors = dict(graph.tensors)
    kept = []
    for op in graph.ops:
        found = None if set(op.outputs) & set(graph.outputs) else _folded(op, tensors)
        if found is None:
            kept.append(op)
            continue
        for name, value in zip(op.outputs, found, strict=True):
            made = np.asarray(value, tensors[name].dtype)
            tensors[name] = replace(tensors[name], value=made, shape=made.shape, open_axes=())
    return tidied(replace(graph, tensors=tensors, ops=tuple(kept)))


def _folded(op: Op, tensors: dict[str, Tensor]) -> Values | None:
    sources = [tensors[name] for name in op.inputs if name != ABSENT]
    if op.kind == "SHAPE":
        return None if sources[0].open_axes else [np.array(sources[0].shape)]
    values = [tensor.value for tensor in sources]
    known = [value for value in values if value is not None and value.dtype.kind in "iufb"]
    if op.kind not in FOLDS or op.activation != "NONE" or len(known) < len(op.inputs):
        return None
    if any(value.dtype.name != tensor.dtype for value, tensor in zip(known, sources, strict=True)):
        return None  # types that NumPy lacks come as bytes
    if any(tensors[name].quantisation for name in (*op.inputs, *op.outputs)):
        return None
    if op.kind in GROWING and _grown(op.kind, known) > MAX_ELEMENTS:
        return None
    made = FOLDS[op.kind](op, known)
    found = made if isinstance(made, list) else [made]
    return found if len(found) == len(op.outputs) else None


def _grown(kind: str, values: Values) -> float:
    """Return how many elements an op makes whose output may be far larger than what it reads."""
    if kind == "RANGE":
        start, stop, step = (float(value.item()) for value in values)
        return abs((stop - start) / step) if step else np.inf
    sizes = np.prod(values[0 if kind == "FILL" else 1].astype(np.float64))
    return float(sizes * values[0].size if kind == "TILE" else sizes)


def _strided_slice(op: Op, values: Values) -> NDArray[Any]:
    """Source: `strided_slice` of TensorFlow: a bit of each mask an axis of `begin`."""
    index: list[Any] = []
    for axis, (begin, end, stride) in enumerate(
        zip(*map(np.ndarray.tolist, values[1:]), strict=True)
    ):
        names = ("begin", "end", "ellipsis", "newAxis", "shrinkAxis")
        masks = {name for name in names if op.options.get(f"{name}Mask", 0) >> axis & 1}
        if "ellipsis" in masks:
            index.append(Ellipsis)
        elif "newAxis" in masks:
            index.append(None)
        elif "shrinkAxis" in masks:
            index.append(begin)
        else:
            ends = None if "begin" in masks else begin, None if "end" in masks else end
            index.append(slice(*ends, stride))
    found: NDArray[Any] = values[0][tuple(index)]
    return found


def _axis(op: Op) -> int:
    return int(op.options.get("axis", 0))


def _divided(_op: Op, values: Values) -> NDArray[Any]:
    quotient = np.true_divide(*values)
    # Integers go towards zero. Source: `div.cc` of TensorFlow Lite.
    return np.trunc(quotient) if values[0].dtype.kind in "iu" else quotient


def _slice(_op: Op, values: Values) -> NDArray[Any]:
    rows = zip(values[1].tolist(), values[2].tolist(), strict=True)
    part = tuple(slice(first, None if count < 0 else first + count) for first, count in rows)
    found: NDArray[Any] = values[0][part]
    return found


def _reduced(function: Callable[..., Any]) -> Callable[[Op, Values], Any]:
    return lambda op, values: function(
        values[0],
        axis=tuple(map(int, values[1].ravel())),
        keepdims=bool(op.options.get("keepDims")),
    )


def _of_all(function: Callable[..., Any]) -> Callable[[Op, Values], Any]:
    return lambda _op, values: function(*values)


GROWING = ("FILL", "RANGE", "TILE", "BROADCAST_TO")
FOLDS: dict[str, Callable[[Op, Values], Any]] = {
    "ADD": _of_all(np.add),
    "BROADCAST_TO": _of_all(lambda value, shape: np.broadcast_to(value, shape.tolist())),
    "CAST": lambda _op, values: values[0],
    "CONCATENATION": lambda op, values: np.concatenate(values, _axis(op)),
    "DIV": _divided,
    "EXPAND_DIMS": _of_all(lambda value, axis: np.expand_dims(value, int(axis.item()))),
    "FILL": _of_all(lambda shape, value: np.full(shape.tolist(), value)),
    "FLOOR_DIV": _of_all(np.floor_divide),
    "FLOOR_MOD": _of_all(np.mod),
    "GATHER": lambda op, values: np.take(values[0], values[1], axis=_axis(op)),
    "MAXIMUM": _of_all(np.maximum),
    "MINIMUM": _of_all(np.minimum),
    "MUL": _of_all(np.multiply),
    "PACK": lambda op, values: np.stack(values, _axis(op)),
    "RANGE": _of_all(lambda start, stop, step: np.arange(start.item(), stop.item(), step.item())),
    "REDUCE_PROD": _reduced(np.prod),
    "RESHAPE": lambda _op, values: values[0].reshape(values[1].tolist()),
    "SLICE": _slice,
    "SQUEEZE": lambda op, values: np.squeeze(
        values[0], axis=tuple(op.options.get("squeezeDims") or ()) or None
    ),
    "STRIDED_SLICE": _strided_slice,
    "SUB": _of_all(np.subtract),
    "SUM": _reduced(np.sum),
    "TILE": _of_all(lambda value, counts: np.tile(value, counts.tolist())),
    "TRANSPOSE": _of_all(lambda value, order: value.transpose(order.tolist())),
    "UNPACK": lambda op, values: list(np.moveaxis(values[0], _axis(op), 0)),
}
