"""An ONNX model as bytes: read and checked without the package `onnx`.

What is checked are sizes, names of files and engines; whether ops fit together is for the runtime,
in `edge.model.trial`, to find out. Fields are numbered as in onnx.proto of ONNX 1.17.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from edge.errors import ModelError
from edge.model.flatbuffer import DamagedError
from edge.model.protobuf import Field, Wire
from edge.model.quant import Quant
from edge.model.spec import TensorSpec
from edge.model.structure import MAX_RANK, MAX_TENSOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = 14  # of the model
MAX_METADATA_BYTES = 16 * 2**20
MAX_DEPTH = 8  # of graphs in graphs
EXTERNAL = 1  # TensorProto.DataLocation
# Holds an engine of an accelerator, which is code, or names a file with one.
ENGINE_OP = "EPContext"
# TensorProto.DataType to what LiteRT's readers would call it, and to bits of one item.
DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
          9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64"}  # fmt: skip
LARGEST_DIM = 2**31
OPEN = -1  # a side that only running tells
T = TypeVar("T")


def split(data: bytes, path: Path) -> tuple[bytes, dict[str, str]]:
    """Return the model without its metadata, which its digest is of, and the metadata.

    Raises:
        ModelError: It is damaged.
    """
    return _checked(path, lambda: _split(Wire(data)))


def _split(wire: Wire) -> tuple[bytes, dict[str, str]]:
    kept: list[bytes] = []
    entries: dict[str, str] = {}
    rest = found_bytes = 0
    for field in wire.fields():
        if field.number == METADATA:
            found_bytes += field.end - field.start
            if found_bytes > MAX_METADATA_BYTES:
                raise DamagedError(f"its metadata take over {MAX_METADATA_BYTES} bytes")
            parts = {part.number: wire.text(part) for part in wire.fields(*field[3:])}
            entries[parts.get(1, "")] = parts.get(2, "")
            kept.append(wire.data[rest : field.begin])
            rest = field.end
    return b"".join([*kept, wire.data[rest:]]) if kept else wire.data, entries


def check(model: bytes, path: Path) -> None:
    """Refuse a model whose sizes cannot be true, that names other files, or that holds an engine.

    Args:
        model: Without its metadata.
        path: For messages.

    Raises:
        ModelError: It is damaged, or was made to do harm.
    """
    _checked(path, lambda: _Structure(Wire(model)).check())


def tensors(model: bytes, path: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Return the inputs and outputs as the file declares them; an open batch counts as one.

    Any other open side is `OPEN`.

    Raises:
        ModelError: It is damaged, or declares a type or size that nothing here can fill.
    """
    return _checked(path, lambda: _ends(Wire(model)))


def ops(model: bytes, path: Path) -> set[str]:
    """Return the kinds of ops of the main graph, such as `QuantizeLinear`."""

    def found(wire: Wire) -> set[str]:
        nodes = (field for field in wire.fields(*_graph(wire)) if field.number == 1)
        return {
            wire.text(part) for node in nodes for part in wire.fields(*node[3:])
            if part.number == 4  # noqa: PLR2004 - op_type
        }  # fmt: skip

    return _checked(path, lambda: found(Wire(model)))


def _checked(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except DamagedError as error:
        raise ModelError(
            f"{path}: {error}; the model is damaged or hostile: copy it or convert it again"
        ) from error


def _graph(wire: Wire) -> tuple[int, int]:
    graphs = [field for field in wire.fields() if field.number == 7]  # noqa: PLR2004 - graph
    if len(graphs) != 1:
        raise DamagedError(f"it is no ONNX model: it has {len(graphs)} graphs")
    return graphs[0].start, graphs[0].end


def _ends(wire: Wire) -> tuple[list[TensorSpec], list[TensorSpec]]:
    stored: set[str] = set()
    found: dict[int, list[TensorSpec]] = {11: [], 12: []}  # input, output
    for field in wire.fields(*_graph(wire)):
        if field.number == 5:  # noqa: PLR2004 - initializer, which old writers list as input too
            stored |= {wire.text(part) for part in wire.fields(*field[3:]) if part.number == 8}  # noqa: PLR2004
        elif field.number in found:
            rows = found[field.number]
            rows.append(_end(wire, field, len(rows)))
    return [row for row in found[11] if row.name not in stored], found[12]


def _end(wire: Wire, field: Field, index: int) -> TensorSpec:
    """Return one `ValueInfoProto`: name = 1, type = 2, its tensor_type = 1."""
    name, dtype, shape = "", 0, []
    for part in wire.fields(*field[3:]):
        if part.number == 1:
            name = wire.text(part)
        kinds = wire.fields(*part[3:]) if part.number == 2 else ()  # noqa: PLR2004
        for kind in kinds:
            for inner in wire.fields(*kind[3:]) if kind.number == 1 else ():
                if inner.number == 1:
                    dtype = inner.value
                else:
                    shape = [_side(wire, dim) for dim in wire.fields(*inner[3:])]
    if dtype not in DTYPES:
        raise DamagedError(f"the tensor {name!r} is of type {dtype}, which no input or head has")
    shape = [1, *shape[1:]] if shape[:1] == [OPEN] else shape
    if len(shape) > MAX_RANK or max(shape, default=0) > LARGEST_DIM:
        raise DamagedError(f"the tensor {name!r} has the shape {shape[: MAX_RANK + 1]}")
    return TensorSpec(name, index, tuple(shape), np.dtype(DTYPES[dtype]), Quant())


def _side(wire: Wire, dim: Field) -> int:
    """Return one dimension; `OPEN` where it has only a name."""
    return next((part.value for part in wire.fields(*dim[3:]) if part.number == 1), OPEN)


class _Structure:
    """The walk through all graphs of a model."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def check(self) -> None:
        self._graph(*_graph(self._wire), depth=0)
        for field in self._wire.fields():
            if field.number == 20:  # noqa: PLR2004 - training_info
                raise DamagedError("it has graphs for training; export it for inference")
            if field.number == 25:  # noqa: PLR2004 - functions
                self._each(field, {7: self._node, 11: self._attribute}, depth=0)

    def _each(self, field: Field, looks: dict[int, Callable[..., None]], *, depth: int) -> None:
        for part in self._wire.fields(field.start, field.end):
            if part.number in looks:
                looks[part.number](part, depth=depth)

    def _graph(self, start: int, end: int, *, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise DamagedError(f"its graphs lie in each other over {MAX_DEPTH} deep")
        looks = {1: self._node, 5: self._tensor, 15: self._sparse}
        self._each(Field(0, 0, start, start, end), looks, depth=depth)

    def _node(self, field: Field, *, depth: int) -> None:
        for part in self._wire.fields(field.start, field.end):
            if part.number == 4 and self._wire.text(part) == ENGINE_OP:  # noqa: PLR2004 - op_type
                raise DamagedError(f"it has an op {ENGINE_OP}, a compiled engine")
            if part.number == 5:  # noqa: PLR2004
                self._attribute(part, depth=depth)

    def _attribute(self, field: Field, *, depth: int) -> None:
        looks = {5: self._tensor, 10: self._tensor, 6: self._inner, 11: self._inner,
                 22: self._sparse, 23: self._sparse}  # fmt: skip
        self._each(field, looks, depth=depth)

    def _inner(self, field: Field, *, depth: int) -> None:
        self._graph(field.start, field.end, depth=depth + 1)

    def _sparse(self, field: Field, *, depth: int) -> None:
        self._each(field, {1: self._tensor, 2: self._tensor}, depth=depth)

    def _tensor(self, field: Field, *, depth: int) -> None:  # noqa: ARG002 - as its neighbours
        dims: list[int] = []
        dtype, raw_bytes = 0, -1
        for part in self._wire.fields(field.start, field.end):
            if part.number == 13 or (part.number == 14 and part.value == EXTERNAL):  # noqa: PLR2004
                raise DamagedError("its weights lie in other files; export it as one file")
            if part.number == 1:
                dims += self._wire.numbers(part, most=MAX_RANK)
                if len(dims) > MAX_RANK:
                    break
            elif part.number == 2:  # noqa: PLR2004 - data_type
                dtype = part.value
            elif part.number == 9:  # noqa: PLR2004 - raw_data
                raw_bytes = part.end - part.start
        if len(dims) > MAX_RANK or max(dims, default=0) > LARGEST_DIM:
            raise DamagedError(f"a tensor has the shape {dims[: MAX_RANK + 1]}")
        item_bytes = np.dtype(DTYPES[dtype]).itemsize if dtype in DTYPES else 1
        needed = math.prod(dims) * item_bytes
        if needed > MAX_TENSOR_BYTES:
            raise DamagedError(f"a tensor of shape {dims} takes over {MAX_TENSOR_BYTES >> 20} MiB")
        if dtype in DTYPES and raw_bytes not in (-1, needed):
            raise DamagedError(f"a tensor of shape {dims} needs {needed} bytes, it has {raw_bytes}")
