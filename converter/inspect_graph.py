"""What a `.tflite` computes with: its ops and tensors, read from the FlatBuffer's own tables."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb
from edge.errors import ModelError
from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME_COLUMNS = 60  # of a tensor's name, its end: names of fused ops grow long
FLOAT_TYPES = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op of the main subgraph.

    Attributes:
        kind: Builtin name, such as `CONV_2D`, or the custom op's own.
        version: Of the builtin.
        inputs: Tensor numbers; absent optional inputs are left out.
        outputs: Tensor numbers.
        dtypes: Types of its inputs and outputs, each once.
    """

    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorRow:
    """One tensor of the main subgraph.

    Attributes:
        scales: Number of scales: 0 unquantised, 1 per-tensor, more per-channel.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: int
    bytes: int


@dataclass(frozen=True, slots=True)
class GraphTables:
    """The main subgraph's tables."""

    ops: tuple[OpRow, ...]
    tensors: tuple[TensorRow, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def op_counts(self) -> dict[str, int]:
        """Return how often each kind of op occurs, most first."""
        return dict(Counter(op.kind for op in self.ops).most_common())

    def float_ops(self) -> list[OpRow]:
        """Return the ops that read or write a float tensor."""
        return [op for op in self.ops if any(dtype in FLOAT_TYPES for dtype in op.dtypes)]


def read_tables(flatbuffer: bytes, path: Path) -> GraphTables:
    """Return the tables of a bare model.

    Raises:
        ModelError: The FlatBuffer is damaged.
    """
    try:
        model = fb.unpack(flatbuffer)
        graph = model.subgraphs[0]
        tensors = tuple(_tensors(model, graph))
        ops = tuple(_ops(model, graph, tensors))
        ends = tuple(map(int, graph.inputs)), tuple(map(int, graph.outputs))
    # The generated reader checks nothing, and fails in whatever way the damage leads to.
    except (TypeError, ValueError, IndexError, AttributeError, KeyError, struct.error) as error:
        raise ModelError(
            f"{path}: expected a whole TensorFlow Lite model, found one that is damaged; "
            "copy the file again"
        ) from error
    return GraphTables(ops, tensors, *ends)


def as_json(tables: GraphTables) -> dict[str, Any]:
    """Return the tables ready for JSON."""
    return {
        "op_counts": tables.op_counts(),
        "float_ops": len(tables.float_ops()),
        "ops": [asdict(op) for op in tables.ops],
        "tensors": [asdict(tensor) for tensor in tables.tensors],
        "inputs": list(tables.inputs),
        "outputs": list(tables.outputs),
    }


def as_text(tables: GraphTables) -> str:
    """Return the tables for a terminal: ops by kind, then each op with what it makes."""
    counts = Counter((op.kind, op.version, " ".join(op.dtypes)) for op in tables.ops)
    kinds = [[kind, number, *rest] for (kind, *rest), number in counts.most_common()]
    ends = [
        [side, *_row(tables.tensors[index])]
        for side, indices in (("input", tables.inputs), ("output", tables.outputs))
        for index in indices
    ]
    made = [
        [number, op.kind, *_row(tables.tensors[index])]
        for number, op in enumerate(tables.ops)
        for index in op.outputs
    ]
    columns = ["tensor", "shape", "type", "scales"]
    return "\n\n".join(
        [
            render(["op", "count", "version", "types"], kinds),
            f"ops that touch floats: {len(tables.float_ops())} of {len(tables.ops)}",
            render(["", *columns], ends),
            render(["number", "op", *columns], made),
        ]
    )


def _row(tensor: TensorRow) -> list[object]:
    shape = "x".join(map(str, tensor.shape))
    return [tensor.name[-NAME_COLUMNS:], shape, tensor.dtype, tensor.scales]


def _names(enumeration: Any) -> dict[int, str]:  # noqa: ANN401
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _tensors(model: Any, graph: Any) -> Iterator[TensorRow]:  # noqa: ANN401
    types = _names(schema.TensorType)
    for tensor in graph.tensors:
        scale = None if tensor.quantization is None else tensor.quantization.scale
        data = model.buffers[tensor.buffer].data
        yield TensorRow(
            name=tensor.name.decode(),
            shape=tuple(int(side) for side in (() if tensor.shape is None else tensor.shape)),
            dtype=types[tensor.type],
            scales=0 if scale is None else len(scale),
            bytes=0 if data is None else len(data),
        )


def _ops(model: Any, graph: Any, tensors: tuple[TensorRow, ...]) -> Iterator[OpRow]:  # noqa: ANN401
    kinds = _names(schema.BuiltinOperator)
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = builtin == schema.BuiltinOperator.CUSTOM
        inputs = tuple(int(index) for index in op.inputs if index >= 0)
        outputs = tuple(int(index) for index in op.outputs)
        used = dict.fromkeys(tensors[index].dtype for index in (*inputs, *outputs))
        kind = code.customCode.decode() if custom else kinds[builtin]
        yield OpRow(kind, int(code.version), inputs, outputs, tuple(used))
