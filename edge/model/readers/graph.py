"""The tables of a `.tflite`, as much of them as tells what goes in and what comes out.

Read without a runtime, from bytes that `edge.model.structure` found sound. Fields are numbered as
in schema.fbs of TensorFlow Lite.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.model.declared import Declared, Terminal
from edge.model.flatbuffer import DamagedError, FlatBuffer, Table
from edge.model.quant import Quant
from edge.model.spec import TensorSpec
from edge.model.structure import CUSTOM_OP, INT8, INT32, UINT8, UINT32

if TYPE_CHECKING:
    from edge.model.declared import Told

# BuiltinOperator's numbers. Ops that only move values or change how they are stored are passed
# through: what made the values is before them.
KINDS = {
    2: "CONCATENATION", 3: "CONV_2D", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 25: "SOFTMAX",
    23: "RESIZE_BILINEAR", 56: "ARG_MAX", 67: "TRANSPOSE_CONV", 97: "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
# DEQUANTIZE RESHAPE TRANSPOSE SQUEEZE CAST EXPAND_DIMS QUANTIZE
MOVING = frozenset((6, 22, 39, 43, 53, 70, 114))
DTYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16",
    9: "int8", 10: "float64", 12: "uint64", 15: "uint32", 16: "uint16",
}  # fmt: skip
FLOAT32 = struct.Struct("<f")
# FlexBuffers' types of scalars that stand in their place. Source: flexbuffers.h.
FLEX_INT, FLEX_UINT, FLEX_FLOAT, FLEX_MAP, FLEX_BOOL = 1, 2, 3, 9, 26
MAX_OPTIONS = 64


def declared(flatbuffer: bytes, told: Told) -> Declared:
    """Return what the first graph of a model declares.

    Args:
        flatbuffer: As `edge.model.structure.check` accepted it; what is appended does no harm.
        told: What its metadata says.

    Raises:
        DamagedError: Its custom options are none.
    """
    graph = _Graph.of(FlatBuffer(flatbuffer))
    return Declared(
        tuple(graph.terminal(number) for number in graph.inputs),
        tuple(graph.terminal(number) for number in graph.outputs),
        told,
    )


@dataclass(frozen=True, slots=True)
class _Graph:
    """The parts of a graph; tensors by number.

    Attributes:
        makers: Of a tensor the operator that fills it.
    """

    flat: FlatBuffer
    tensors: list[Table]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    codes: list[Table]
    makers: dict[int, Table]

    @classmethod
    def of(cls, flat: FlatBuffer) -> _Graph:
        root = flat.root()
        graph = flat.children(root, 2)[0]
        ops = flat.children(graph, 3)
        makers = {number: op for op in ops for number in flat.numbers(op, 2, "i")}
        return cls(
            flat,
            flat.children(graph, 0),
            flat.numbers(graph, 1, "i"),
            flat.numbers(graph, 2, "i"),
            codes=flat.children(root, 1),
            makers=makers,
        )

    def terminal(self, number: int) -> Terminal:
        tensor = self.spec(number)
        found, op = number, self.makers.get(number)
        for _ in range(len(self.makers)):  # a damaged graph may go round
            inputs = self.flat.numbers(op, 1, "i") if op else ()
            if op is None or self.kind(op)[0] not in MOVING or not inputs:
                break
            found, op = inputs[0], self.makers.get(inputs[0])
        if op is None:
            return Terminal(tensor)
        code, name = self.kind(op)
        inputs = self.flat.numbers(op, 1, "i")
        return Terminal(
            tensor,
            name or KINDS.get(code, str(code)),
            made_shape=self.shape(found),
            made_of_shape=self.shape(inputs[0]) if inputs and inputs[0] >= 0 else (),
            place=self.flat.numbers(op, 2, "i").index(found),
            options=self.options(op) if code == CUSTOM_OP else {},
        )

    def kind(self, op: Table) -> tuple[int, str]:
        """Return an operator's number, and the name of a custom one."""
        code = self.codes[self.flat.scalar(op, 0, UINT32)]
        number = max(self.flat.scalar(code, 0, INT8), self.flat.scalar(code, 3, INT32))
        return number, self.flat.text(code, 1) if number == CUSTOM_OP else ""

    def shape(self, number: int) -> tuple[int, ...]:
        """Return a tensor's shape, -1 where its signature leaves a side open."""
        tensor = self.tensors[number]
        return self.flat.numbers(tensor, 7, "i") or self.flat.numbers(tensor, 0, "i")

    def spec(self, number: int) -> TensorSpec:
        flat, tensor = self.flat, self.tensors[number]
        kind = DTYPES.get(flat.scalar(tensor, 1, UINT8), "void")
        quantisation, quant = flat.child(tensor, 4), Quant()
        if quantisation and flat.vector(quantisation, 2, 4)[1] == 1:
            start, _ = flat.vector(quantisation, 2, 4)
            zeros = flat.numbers(quantisation, 3, "q") or (0,)
            scale = FLOAT32.unpack_from(flat.data, start)[0]
            quant = Quant(float(scale), zeros[0]) if scale else quant
        name = flat.text(tensor, 3)
        return TensorSpec(name, number, self.shape(number), dtype=np.dtype(kind), quant=quant)

    def options(self, op: Table) -> dict[str, Any]:
        start, count = self.flat.vector(op, 5, 1)
        return flex_map(self.flat.data[start : start + count]) if count else {}


def flex_map(data: bytes) -> dict[str, Any]:
    """Return the numbers of a FlexBuffer that is a map; what else it holds is left out.

    Source: the FlexBuffers binary format ("FlatBuffers internals").

    Raises:
        DamagedError: It leads out of its bytes.
    """
    try:
        width = data[-1]
        if data[-2] >> 2 != FLEX_MAP:
            return {}
        at = len(data) - 2 - width
        at -= _flex_number(data, at, width)
        width = 1 << (data[-2] & 3)
        count = _flex_number(data, at - width, width)
        keys_width = _flex_number(data, at - 2 * width, width)
        keys = at - 3 * width - _flex_number(data, at - 3 * width, width)
        found = {}
        for number in range(min(count, MAX_OPTIONS)):
            place = keys + number * keys_width
            start = place - _flex_number(data, place, keys_width)
            name = data[start : data.index(0, start)].decode()
            kind = data[at + count * width + number] >> 2
            if kind in FLEX_CODES:
                found[name] = _flex_number(data, at + number * width, width, codes=FLEX_CODES[kind])
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise DamagedError("the options of a custom op are damaged") from error
    return found


FLEX_CODES = {FLEX_INT: "bhiq", FLEX_UINT: "BHIQ", FLEX_FLOAT: "  fd", FLEX_BOOL: "BHIQ"}


def _flex_number(data: bytes, at: int, width: int, *, codes: str = "BHIQ") -> Any:  # noqa: ANN401
    if at < 0:
        raise IndexError(at)
    return struct.unpack_from("<" + codes[{1: 0, 2: 1, 4: 2, 8: 3}[width]], data, at)[0]
