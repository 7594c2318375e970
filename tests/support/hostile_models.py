"""Models made to do harm: sound ones, changed by a seed where a runtime may trust them."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Callable

# What a count, an offset, an index or a size is replaced by.
WORDS = (0, 1, 2, 3, 4, 0x7F, 0xFF, 0x100, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1)
SIDES = (0, -1, -2, 1, 2, 3, 5, 7, 255, 30_000, 2**16, 2**24, 2**31 - 1, -(2**31))
FACTORS = (0.0, -1.0, 1e-45, 1e-38, 1e38, float("inf"), float("-inf"), float("nan"))
ZERO_POINTS = (-(2**63), -(2**31), -129, -128, 127, 128, 256, 2**31, 2**63 - 1)
OPERATORS = 210  # there are 209 in the schema of today
WEIGHTS_BYTES = 64  # a run of values at least this long is left alone where tables are to be hit


@dataclass(frozen=True, slots=True)
class Hostile:
    """A changed model.

    Attributes:
        name: What was done, for a test's message.
        flatbuffer: The model.
    """

    name: str
    flatbuffer: bytes


def make(flatbuffer: bytes, seed: int) -> Hostile:
    """Return the model with one to three changes of one kind; the seed chooses all of it."""
    kinds = list(KINDS)
    kind = kinds[seed % len(kinds)]
    return Hostile(f"{kind} {seed}", KINDS[kind](flatbuffer, random.Random(seed)))


def unpacked(flatbuffer: bytes) -> Any:
    """Return the model as a tree of objects, its values in its own buffers."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def packed(model: Any) -> bytes:
    """Return the FlatBuffer of a tree of objects."""
    builder = flatbuffers.Builder(2**16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _cut(flatbuffer: bytes, chance: random.Random) -> bytes:
    return flatbuffer[: chance.randrange(8, len(flatbuffer))]


def _bits(flatbuffer: bytes, chance: random.Random) -> bytes:
    changed = bytearray(flatbuffer)
    for _ in range(chance.choice((1, 3, 10))):
        changed[_place(flatbuffer, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _words(flatbuffer: bytes, chance: random.Random) -> bytes:
    changed = bytearray(flatbuffer)
    for _ in range(chance.choice((1, 2, 4))):
        struct.pack_into("<I", changed, _place(flatbuffer, chance) & ~3, chance.choice(WORDS))
    return bytes(changed)


def _place(flatbuffer: bytes, chance: random.Random) -> int:
    """Return a byte that is none of the weights."""
    model = schema.Model.GetRootAs(flatbuffer)
    weights = []
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        weights.append(range(buffer.Offset(), buffer.Offset() + buffer.Size()))
        if buffer.DataLength() > WEIGHTS_BYTES:
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            weights.append(range(start, start + buffer.DataLength()))
    while True:
        place = chance.randrange(8, len(flatbuffer) - 4)
        if not any(place in run for run in weights):
            return place


def _changed(change: Callable[[Any, random.Random], None]):
    """Return a kind that changes the tree of objects."""

    def kind(flatbuffer: bytes, chance: random.Random) -> bytes:
        model = unpacked(flatbuffer)
        for _ in range(chance.choice((1, 1, 3))):
            change(model, chance)
        return packed(model)

    return kind


def _tensor(model: Any, chance: random.Random) -> Any:
    return chance.choice(model.subgraphs[0].tensors)


def _operator(model: Any, chance: random.Random) -> Any:
    return chance.choice(model.subgraphs[0].operators)


def _shapes(model: Any, chance: random.Random) -> None:
    tensor = _tensor(model, chance)
    shape = [] if tensor.shape is None else [int(side) for side in tensor.shape]
    if not shape or chance.random() < 0.2:
        shape = shape[1:] if chance.random() < 0.5 else [*shape, chance.choice(SIDES[3:8])]
    else:
        place = chance.randrange(len(shape))
        near = shape[place] + chance.choice((-1, 1))
        shape[place] = chance.choice((near, chance.choice(SIDES)))
    tensor.shape = np.array(shape, np.int64).astype(np.int32)


def _indices(model: Any, chance: random.Random) -> None:
    graph, op = model.subgraphs[0], _operator(model, chance)
    count = len(graph.tensors)
    index = chance.choice((chance.randrange(count), chance.randrange(count), -1, count, 2**31 - 1))
    owner, name = chance.choice(
        ((op, "inputs"), (op, "inputs"), (op, "outputs"), (graph, "inputs"), (graph, "outputs"))
    )
    values = [int(value) for value in getattr(owner, name)]
    if values:
        values[chance.randrange(len(values))] = index
    setattr(owner, name, np.array(values, np.int32))


def _counts(model: Any, chance: random.Random) -> None:
    """One input of an op more, or one less, or none."""
    op = _operator(model, chance)
    values = [int(value) for value in op.inputs]
    choices = ([], values[:-1], values[1:], values + values, [*values, -1])
    op.inputs = np.array(chance.choice(choices), np.int32)


def _buffers(model: Any, chance: random.Random) -> None:
    tensor = _tensor(model, chance)
    if chance.random() < 0.4:
        tensor.buffer = chance.choice((chance.randrange(len(model.buffers)), len(model.buffers)))
        return
    buffer = chance.choice(model.buffers)
    data = b"" if buffer.data is None else bytes(bytearray(buffer.data))
    cut = data[: chance.randrange(len(data) + 1)]
    data = chance.choice((cut, data + b"\0", data + data, b"", data[::-1]))
    buffer.data = np.frombuffer(data, np.uint8)


def _quantisation(model: Any, chance: random.Random) -> None:
    tensor = _tensor(model, chance)
    table = tensor.quantization or schema.QuantizationParametersT()
    tensor.quantization = table
    scales = [0.5] if table.scale is None or not len(table.scale) else list(table.scale)
    zeros = [0] if table.zeroPoint is None or not len(table.zeroPoint) else list(table.zeroPoint)
    what = chance.randrange(4)
    if what == 0:
        scales[chance.randrange(len(scales))] = chance.choice(FACTORS)
    elif what == 1:
        zeros[chance.randrange(len(zeros))] = chance.choice(ZERO_POINTS)
    elif what == 2:
        table.quantizedDimension = chance.choice(SIDES)
    else:
        scales = scales[: chance.randrange(len(scales) + 1)] + scales
    table.scale = np.array(scales, np.float32)
    table.zeroPoint = np.array(zeros, np.int64)


def _types(model: Any, chance: random.Random) -> None:
    _tensor(model, chance).type = chance.randrange(24)


def _codes(model: Any, chance: random.Random) -> None:
    code = chance.choice(model.operatorCodes)
    if chance.random() < 0.2:
        _operator(model, chance).opcodeIndex = chance.choice((len(model.operatorCodes), 2**32 - 1))
        return
    code.builtinCode = chance.choice((chance.randrange(OPERATORS), -1, 2**31 - 1))
    code.deprecatedBuiltinCode = max(-128, min(127, code.builtinCode))
    code.version = chance.choice((code.version, chance.randrange(12), -1))


def _options(model: Any, chance: random.Random) -> None:
    op = _operator(model, chance)
    names = [] if op.builtinOptions is None else sorted(vars(op.builtinOptions))
    numbers = [n for n in names if type(getattr(op.builtinOptions, n)) is int]
    if not numbers or chance.random() < 0.2:
        op.builtinOptionsType = chance.randrange(127)
        return
    name = chance.choice(numbers)
    wide = name.startswith(("stride", "dilation", "filter", "axis", "depth"))
    setattr(op.builtinOptions, name, chance.choice(SIDES) if wide else chance.randrange(8))


KINDS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": _cut,
    "bits": _bits,
    "words": _words,
    "shapes": _changed(_shapes),
    "indices": _changed(_indices),
    "counts": _changed(_counts),
    "buffers": _changed(_buffers),
    "quantisation": _changed(_quantisation),
    "types": _changed(_types),
    "codes": _changed(_codes),
    "options": _changed(_options),
}
