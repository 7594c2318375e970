"""The structure of a model file, checked before a runtime sees it.

LiteRT follows offsets, takes counts and allocates what shapes ask for, mostly unseen. Here every
offset, index and size is held against the file first; what an op then does with sound numbers is
for `edge.model.trial` to find out. Fields are numbered as in schema.fbs of TensorFlow Lite.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from edge.errors import ModelError
from edge.model.flatbuffer import DamagedError, FlatBuffer, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
CUSTOM_OP = 32  # BuiltinOperator.CUSTOM
# One tensor's. A float image of 1280 x 1280 takes 19 MiB; 128 channels of 1024 x 1024 this.
MAX_TENSOR_BYTES = 512 * 2**20
MAX_RANK = 8  # what the kernels of TensorFlow Lite go to is 6
NOT_APPENDED = 1  # the offset of a buffer that stays in the FlatBuffer, or 0
NO_TENSOR = -1  # an optional input that is not given
# Bits of one item, by TensorType; 0 where the shape does not give the size (strings, resources).
ITEM_BITS = (
    32, 16, 32, 8, 64, 0, 8, 16, 64, 8, 64, 128, 64, 0, 0, 32, 16, 4, 16, 2, 4, 8, 8,
)  # fmt: skip
ZERO_POINTS = {3: (0, 255), 7: (-(2**15), 2**15 - 1), 9: (-128, 127)}  # uint8, int16, int8
LARGE_FLOAT32 = 0x7F  # the last byte of 1.7e38 and above
INT32_RANGE = (-(2**31), 2**31 - 1)
# Vectors and strings in the tables of unions: the union's type to (field, bytes of an item).
OPTIONS = {
    3: ((1, 4), (2, 4)), 8: ((5, 1),), 17: ((0, 4),), 30: ((0, 4),), 111: ((0, 1), (1, 1)),
    115: ((0, 4),),
}  # fmt: skip
OPTIONS_2 = {
    2: ((0, 8),), 3: ((0, 8), (1, 8), (2, 8)),
    4: ((0, 8), (1, 8), (2, 8), (3, 8), (4, 1), (7, 8), (10, 8), (13, 8), (16, 4)),
    5: ((0, 1), (2, 1), (4, 4), (5, 1)), 6: ((0, 8),), 7: ((1, 8), (2, 8), (3, 8)), 9: ((0, 8),),
    10: ((0, 8), (1, 8), (2, 8)), 12: ((0, 8), (1, 8), (2, 8), (3, 8), (4, 4)),
    13: ((0, 8), (1, 8), (2, 8), (3, 8), (4, 8)), 16: ((0, 8), (1, 8), (2, 8), (4, 8)),
    17: ((0, 8),), 21: ((0, 1), (2, 1)), 23: ((0, 4),),
}  # fmt: skip
QUANTISATION_DETAILS = {1: ((0, 1),), 2: ((3, 4),), 3: ((3, 4),)}
SPARSE_INDICES = {1: ((0, 4),), 2: ((0, 2),), 3: ((0, 1),)}
T = TypeVar("T")
INT8, UINT8, INT32, UINT32, UINT64 = map(struct.Struct, ("<b", "<B", "<i", "<I", "<Q"))


def check(flatbuffer: bytes, path: Path) -> None:
    """Refuse a model whose tables, indices, shapes or sizes cannot be true; copies nothing of it.

    Args:
        flatbuffer: The model, without what may be appended to it.
        path: For messages.

    Raises:
        ModelError: It is damaged, or was made to do harm.
    """
    try:
        _check_model(FlatBuffer(flatbuffer))
    except (DamagedError, struct.error) as error:
        raise ModelError(
            f"{path}: {error}; the model is damaged or hostile: copy it or convert it again"
        ) from error


@dataclass(frozen=True, slots=True)
class _Model:
    """What the parts of a file are held against.

    Attributes:
        flat: The file.
        codes: How many operator codes there are.
        buffers_bytes: Of each buffer.
    """

    flat: FlatBuffer
    codes: int
    buffers_bytes: tuple[int, ...]


def _check_model(flat: FlatBuffer) -> None:
    if flat.data[4:8] != IDENTIFIER:
        raise DamagedError("it is not a TensorFlow Lite model")
    root = flat.root()
    version = flat.scalar(root, 0, UINT32)
    if version != SCHEMA_VERSION:
        raise DamagedError(f"its schema has version {version}, not {SCHEMA_VERSION}")
    flat.text(root, 3)
    if flat.vector(root, 8, 4)[1] or flat.vector(root, 9, 4)[1]:
        raise DamagedError("its weights lie in other files")
    codes = _each("operator code", flat.children(root, 1), lambda code: _check_code(flat, code))
    buffers = _each("buffer", flat.children(root, 4), lambda buffer: _buffer_bytes(flat, buffer))
    model = _Model(flat, len(codes), tuple(buffers))
    subgraphs = flat.children(root, 2)
    if not subgraphs:
        raise DamagedError("it has no graph")
    tensors = _each("graph", subgraphs, lambda graph: _check_subgraph(model, graph))
    _in_range("a metadata buffer", flat.numbers(root, 5, "i"), len(buffers))
    _each("metadata", flat.children(root, 6), lambda entry: _check_metadata(model, entry))
    _each("signature", flat.children(root, 7), lambda entry: _check_signature(flat, entry, tensors))


def _each(noun: str, tables: Iterable[Table], look: Callable[[Table], T]) -> list[T]:
    """Look at each table, and name the one that is damaged."""
    found = []
    for number, table in enumerate(tables):
        try:
            found.append(look(table))
        except (DamagedError, struct.error) as error:  # noqa: PERF203 - 0.1 ms for 600 tables
            raise DamagedError(f"{noun} {number}: {error}") from error
    return found


def _in_range(noun: str, indices: Iterable[int], count: int, *, least: int = 0) -> None:
    for index in indices:
        if not least <= index < count:
            raise DamagedError(f"{noun} is number {index} of {count}")


def _check_code(flat: FlatBuffer, code: Table) -> None:
    name = flat.text(code, 1)
    kind = max(flat.scalar(code, 0, INT8), flat.scalar(code, 3, INT32))
    if kind < 0 or (kind == CUSTOM_OP and not name):
        raise DamagedError(f"it is {kind}, and its name {name!r}")


def _buffer_bytes(flat: FlatBuffer, buffer: Table) -> int:
    """Return the size of what a buffer holds: in itself, or behind all tables at an offset."""
    _start, count = flat.vector(buffer, 0, 1)
    offset, size_bytes = flat.scalar(buffer, 1, UINT64), flat.scalar(buffer, 2, UINT64)
    _check_appended(flat, offset, size_bytes)
    return count or (size_bytes if offset > NOT_APPENDED else 0)


def _check_appended(flat: FlatBuffer, offset: int, size_bytes: int) -> None:
    """Hold a range of bytes behind the FlatBuffer's own against the file."""
    if offset + size_bytes > len(flat.data):
        raise DamagedError(f"its bytes end at {offset + size_bytes} of {len(flat.data)}")


def _check_metadata(model: _Model, entry: Table) -> None:
    model.flat.text(entry, 0)
    buffer = model.flat.scalar(entry, 1, UINT32)
    _in_range("its buffer", (buffer,), len(model.buffers_bytes))


def _check_signature(flat: FlatBuffer, signature: Table, tensors: list[int]) -> None:
    flat.text(signature, 2)
    graph = flat.scalar(signature, 4, UINT32)
    _in_range("its graph", (graph,), len(tensors))
    for entry in flat.children(signature, 0) + flat.children(signature, 1):
        flat.text(entry, 0)
        _in_range("a tensor", (flat.scalar(entry, 1, UINT32),), tensors[graph])


def _check_subgraph(model: _Model, graph: Table) -> int:
    """Check a graph; return how many tensors it has."""
    flat = model.flat
    flat.text(graph, 4)
    tensors = flat.children(graph, 0)
    constant = _each("tensor", tensors, lambda tensor: _check_tensor(model, tensor))
    constants = {number for number, is_one in enumerate(constant) if is_one}
    inputs = flat.numbers(graph, 1, "i")
    _in_range("an input", inputs, len(tensors))
    if not constants.isdisjoint(inputs):
        raise DamagedError("an input is a constant")
    _in_range("an output", flat.numbers(graph, 2, "i"), len(tensors))
    _each(
        "operator",
        flat.children(graph, 3),
        lambda op: _check_operator(model, op, count=len(tensors), constants=constants),
    )
    return len(tensors)


def _check_tensor(model: _Model, tensor: Table) -> bool:
    """Check a tensor; return whether it is a constant."""
    flat = model.flat
    flat.text(tensor, 3)
    kind = flat.scalar(tensor, 1, UINT8)
    if kind >= len(ITEM_BITS):
        raise DamagedError(f"its type is number {kind}")
    shape = flat.numbers(tensor, 0, "i")
    needed = _shape_bytes(shape, ITEM_BITS[kind])
    signature = flat.numbers(tensor, 7, "i")
    if signature and (len(signature) != len(shape) or min(signature) < -1):
        raise DamagedError(f"its shape is {shape}, or {signature}")
    if flat.scalar(tensor, 10, UINT32):
        raise DamagedError("its values lie in another file")
    for variant in flat.children(tensor, 9):
        _shape_bytes(flat.numbers(variant, 0, "i"), 0)
    quantisation, sparsity = flat.child(tensor, 4), flat.child(tensor, 6)
    if quantisation:
        _check_quantisation(flat, quantisation, shape=shape, kind=kind)
    if sparsity:
        _check_sparsity(flat, sparsity)
    buffer = flat.scalar(tensor, 2, UINT32)
    if not buffer:
        return False
    _in_range("its buffer", (buffer,), len(model.buffers_bytes))
    found = model.buffers_bytes[buffer]
    if found and ITEM_BITS[kind] and not sparsity and found != needed:
        raise DamagedError(f"its shape {shape} needs {needed} bytes, it has {found}")
    return bool(found)


def _shape_bytes(shape: tuple[int, ...], item_bits: int) -> int:
    """Return what a tensor of this shape takes; an open batch, -1, counts once."""
    items = math.prod(shape)
    if len(shape) > MAX_RANK or (shape and min(shape) < 0):
        if len(shape) > MAX_RANK or min(shape[1:], default=0) < 0 or shape[0] < -1:
            raise DamagedError(f"its shape is {shape[: MAX_RANK + 1]}")
        items = -items
    needed = (items * item_bits + 7) // 8
    if max(needed, items) > MAX_TENSOR_BYTES:
        raise DamagedError(
            f"its shape {shape} takes {needed // 2**20} MiB, over {MAX_TENSOR_BYTES // 2**20} MiB"
        )
    return needed


def _check_quantisation(
    flat: FlatBuffer, table: Table, *, shape: tuple[int, ...], kind: int
) -> None:
    flat.vector(table, 0, 4)
    flat.vector(table, 1, 4)
    _check_union(flat, table, 4, rows=QUANTISATION_DETAILS)
    start, scales = flat.vector(table, 2, 4)
    flat.spend(scales)
    zeros = flat.numbers(table, 3, "q")
    # The last byte of a float32 is its sign and most of its exponent: so it is neither negative,
    # infinite nor NaN, and of 57,000 scales none has to become a number.
    if scales and max(flat.data[start + 3 : start + 4 * scales : 4]) >= LARGE_FLOAT32:
        raise DamagedError("its scale is not a positive number below 1e38")
    least, most = ZERO_POINTS.get(kind, INT32_RANGE)
    if any(zeros) and not least <= min(zeros) <= max(zeros) <= most:
        raise DamagedError(f"its zero point is not in {least} to {most}")
    if len(zeros) not in (0, 1, scales):
        raise DamagedError(f"it has {scales} scales and {len(zeros)} zero points")
    axis = flat.scalar(table, 6, INT32)
    if scales > 1 and (not 0 <= axis < len(shape) or shape[axis] != scales):
        raise DamagedError(f"it has {scales} scales along axis {axis} of {shape}")


def _check_sparsity(flat: FlatBuffer, table: Table) -> None:
    flat.vector(table, 0, 4)
    flat.vector(table, 1, 4)
    for axis in flat.children(table, 2):
        _check_union(flat, axis, 2, rows=SPARSE_INDICES)
        _check_union(flat, axis, 4, rows=SPARSE_INDICES)


def _check_operator(model: _Model, op: Table, *, count: int, constants: set[int]) -> None:
    flat = model.flat
    _in_range("its code", (flat.scalar(op, 0, UINT32),), model.codes)
    inputs = flat.numbers(op, 1, "i")
    _in_range("an input", inputs, count, least=NO_TENSOR)
    # Biases and the gates of an LSTM may be missing; a kernel reads its first input unasked.
    if inputs and inputs[0] == NO_TENSOR:
        raise DamagedError("its first input is missing")
    outputs = flat.numbers(op, 2, "i")
    _in_range("an output", outputs, count)
    # The runtime would write into the file's own bytes.
    if not constants.isdisjoint(outputs):
        raise DamagedError("it writes to a constant")
    _in_range("an intermediate", flat.numbers(op, 8, "i"), count, least=NO_TENSOR)
    _check_union(flat, op, 3, rows=OPTIONS)
    _check_union(flat, op, 11, rows=OPTIONS_2)
    flat.vector(op, 5, 1)
    flat.vector(op, 7, 1)
    _check_appended(flat, flat.scalar(op, 9, UINT64), flat.scalar(op, 10, UINT64))


def _check_union(
    flat: FlatBuffer, table: Table, number: int, *, rows: Mapping[int, Sequence[tuple[int, int]]]
) -> None:
    """Check the table of a union, whose type is field `number` and whose value is the next."""
    value = flat.child(table, number + 1)
    if value:
        for place, item_bytes in rows.get(flat.scalar(table, number, UINT8), ()):
            flat.vector(value, place, item_bytes)
