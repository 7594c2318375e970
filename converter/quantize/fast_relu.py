"""Write an int8 RELU that stands alone as the QUANTIZE that it is.

XNNPACK takes no int8 RELU, but does take a change of scale: each RELU between two residual sums
splits the graph, and LiteRT's own kernels run it with a copy on both sides. Where the output's zero
point is the least level, saturating there is what the RELU does; the two differ by rounding only.

Measured on a portrait U-Net with 23 such RELUs, one thread of an x86: an invoke takes 14.2 ms, not
50.9; the float model takes 46.3. On noise 4.5 % of its outputs differ, by 20 levels at most; the
mean mask IoU with the float model is 0.9640, not 0.9643, on 20 photographs of people.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb

INT8_MIN = -128
# Of QUANTIZE, the first from int8 to int8. Source: `quantize.cc` and `op_version.cc` of TensorFlow
# Lite.
VERSION = 2
# What XNNPACK takes of the input's scale over the output's. Source: its `qs8` convert operator.
LEAST_RATIO, GREATEST_RATIO = 2.0**-8, 2.0**7


def with_fast_relus(flatbuffer: bytes) -> bytes:
    """Return the quantised model whose lone int8 RELUs are QUANTIZE ops, the same bytes without."""
    model = fb.unpack(flatbuffer)
    graph = model.subgraphs[0]
    found = [op for op in graph.operators if _is_rescaling(model, op)]
    if not found:
        return flatbuffer
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = VERSION
    model.operatorCodes.append(code)
    for op in found:
        op.opcodeIndex = len(model.operatorCodes) - 1
        op.builtinOptions = schema.QuantizeOptionsT()
        op.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    return fb.pack(model)


def _is_rescaling(model: Any, op: Any) -> bool:  # noqa: ANN401
    if model.operatorCodes[op.opcodeIndex].builtinCode != schema.BuiltinOperator.RELU:
        return False
    tensors = model.subgraphs[0].tensors
    source, output = tensors[int(op.inputs[0])], tensors[int(op.outputs[0])]
    if not source.type == output.type == schema.TensorType.INT8:
        return False
    before, after = source.quantization, output.quantization
    ratio = float(np.float32(before.scale[0]) / np.float32(after.scale[0]))
    return int(after.zeroPoint[0]) == INT8_MIN and LEAST_RATIO < ratio < GREATEST_RATIO
