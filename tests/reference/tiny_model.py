"""A float model of four ops, written byte by byte: what each tensor holds is plain arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT_WH = (16, 12)
NAMES = ("image", "positive", "negated", "absolute", "sum")


def expected(x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return the value of each tensor for the input `x`."""
    positive = np.maximum(x, 0)
    return {
        "image": x,
        "positive": positive,
        "negated": -positive,
        "absolute": positive,
        "sum": positive + x,
    }


def build(tensor_type: int = schema.TensorType.FLOAT32) -> bytes:
    """Return sum(x) = |-relu(x)| + x as a FlatBuffer, input `(1, 12, 16, 3)`."""
    code, kind = schema.BuiltinOperator, schema.BuiltinOptions
    ops = (
        (code.RELU, kind.NONE, None, [0], 1),
        (code.NEG, kind.NegOptions, schema.NegOptionsT(), [1], 2),
        (code.ABS, kind.AbsOptions, schema.AbsOptionsT(), [2], 3),
        (code.ADD, kind.AddOptions, schema.AddOptionsT(), [3, 0], 4),
    )
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    model.operatorCodes = []
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(name, tensor_type) for name in NAMES]
    graph.inputs, graph.outputs, graph.operators = [0], [4], []
    for number, (op_code, op_kind, options, inputs, output) in enumerate(ops):
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = op_code
        entry.version = 1
        model.operatorCodes.append(entry)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = number, inputs, [output]
        op.builtinOptionsType, op.builtinOptions = op_kind, options
        graph.operators.append(op)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, tensor_type: int) -> schema.TensorT:
    tensor = schema.TensorT()
    width, height = INPUT_WH
    tensor.name, tensor.shape, tensor.type, tensor.buffer = (
        name,
        [1, height, width, 3],
        tensor_type,
        0,
    )
    return tensor
