"""Round one tensor of a float model as int8 would, the rest staying float."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

ROUNDING = (
    (
        schema.BuiltinOperator.QUANTIZE,
        schema.BuiltinOptions.QuantizeOptions,
        schema.QuantizeOptionsT,
    ),
    (
        schema.BuiltinOperator.DEQUANTIZE,
        schema.BuiltinOptions.DequantizeOptions,
        schema.DequantizeOptionsT,
    ),
)


@dataclass(frozen=True, slots=True)
class Levels:
    """The int8 levels of a tensor: ``scale * (q - zero_point)``."""

    scale: float
    zero_point: int

    @property
    def low(self) -> float:
        """The least value."""
        return (int(np.iinfo(np.int8).min) - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        """The greatest value."""
        return (int(np.iinfo(np.int8).max) - self.zero_point) * self.scale


def round_tensor_inplace(model: Any, index: int, levels: Levels) -> int:  # noqa: ANN401
    """Let all that reads a tensor of a `ModelT` read it rounded; return the new tensor's index.

    The model's own outputs are left as they are, for the caller to redirect.
    """
    graph = model.subgraphs[0]
    whole, rounded = copy.copy(graph.tensors[index]), copy.copy(graph.tensors[index])
    whole.type, whole.buffer, rounded.buffer = schema.TensorType.INT8, 0, 0
    whole.name, rounded.name = whole.name + b"/levels", rounded.name + b"/rounded"
    whole.quantization = schema.QuantizationParametersT()
    whole.quantization.scale = np.array([levels.scale], np.float32)
    whole.quantization.zeroPoint = np.array([levels.zero_point], np.int64)
    graph.tensors += [whole, rounded]
    made = len(graph.tensors) - 1
    ends = [index, made - 1, made]
    after = 1 + max(
        number for number, op in enumerate(graph.operators) if index in map(int, op.outputs)
    )
    for op in graph.operators[after:]:
        op.inputs = np.array([made if int(i) == index else int(i) for i in op.inputs], np.int32)
    graph.operators[after:after] = [
        _op(model, row, source=ends[step], target=ends[step + 1])
        for step, row in enumerate(ROUNDING)
    ]
    return made


def _op(model: Any, row: Any, *, source: int, target: int) -> Any:  # noqa: ANN401
    builtin, options, make = row
    op = schema.OperatorT()
    op.opcodeIndex = _code(model, builtin)
    op.inputs, op.outputs = np.array([source], np.int32), np.array([target], np.int32)
    op.builtinOptionsType, op.builtinOptions = options, make()
    return op


def _code(model: Any, builtin: int) -> int:  # noqa: ANN401
    for number, code in enumerate(model.operatorCodes):
        if code.builtinCode == builtin:
            return number
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
