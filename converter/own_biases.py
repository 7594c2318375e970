"""Give each convolution a bias of its own, which repairs may then write.

TensorFlow's converter stores equal constants once: all depthwise convolutions without a bias share
one row of zeros. What two ops share no repair may change, so none of those was equalised or
corrected: on the 46 depthwise layers of a portrait U-Net, not one. Old converters write the bias of
a transposed convolution as an ADD behind it, whose input is rounded to int8 once more.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb

Builtin = schema.BuiltinOperator
# Inputs, the bias among them.
INPUTS = {Builtin.CONV_2D: 3, Builtin.DEPTHWISE_CONV_2D: 3, Builtin.TRANSPOSE_CONV: 4}
# Of TRANSPOSE_CONV, the first that takes a bias. Source: `transpose_conv.cc` of TensorFlow Lite.
BIASED_VERSION = 3


def with_own_biases(flatbuffer: bytes) -> bytes:
    """Return the same function as a float model whose convolutions share no bias.

    An ADD of a constant behind a transposed convolution without a bias becomes its bias.
    """
    model = fb.unpack(flatbuffer)
    changed = _fold_sums_inplace(model) + _unshare_inplace(model)
    return fb.pack(model) if changed else flatbuffer


def _unshare_inplace(model: Any) -> int:  # noqa: ANN401
    """Copy each bias that is read more than once for all but its first reader; return how often."""
    graph = model.subgraphs[0]
    seen: set[int] = set()
    count = 0
    for op in graph.operators:
        wanted = INPUTS.get(_kind(model, op))
        if wanted is None or len(op.inputs) != wanted or not _is_constant(model, op.inputs[-1]):
            continue
        index = int(op.inputs[-1])
        if index in seen:
            op.inputs = np.array([*op.inputs[:-1], _copied_inplace(model, index)], np.int32)
            count += 1
        seen.add(index)
    return count


def _copied_inplace(model: Any, index: int) -> int:  # noqa: ANN401
    """Append a tensor with a buffer of its own, equal to another; return its index."""
    tensors = model.subgraphs[0].tensors
    old = tensors[index]
    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = np.array(model.buffers[old.buffer].data, np.uint8)
    model.buffers.append(buffer)
    tensor.type, tensor.shape = old.type, old.shape
    tensor.name = f"{old.name.decode()}_own_{len(tensors)}".encode()
    tensor.buffer = len(model.buffers) - 1
    tensors.append(tensor)
    return len(tensors) - 1


def _fold_sums_inplace(model: Any) -> int:  # noqa: ANN401
    """Make sums with a constant the bias of the transposed convolution before; return how many."""
    graph = model.subgraphs[0]
    made = {int(op.outputs[0]): op for op in graph.operators}
    reads = Counter(int(index) for op in graph.operators for index in op.inputs)
    reads.update(int(index) for index in graph.outputs)
    folded = []
    for op in graph.operators:
        if _kind(model, op) != Builtin.ADD or op.builtinOptions.fusedActivationFunction:
            continue
        for source, added in (op.inputs, op.inputs[::-1]):
            before = made.get(int(source))
            if before is None or reads[int(source)] != 1 or not _takes_bias(model, before, added):
                continue
            bias = _copied_inplace(model, int(added))
            graph.tensors[bias].shape = np.array([_size(graph.tensors[bias])], np.int32)
            before.inputs = np.array([*before.inputs, bias], np.int32)
            before.outputs = op.outputs
            _raise_version_inplace(model, before)
            folded.append(id(op))
            break
    graph.operators = [op for op in graph.operators if id(op) not in folded]
    return len(folded)


def _takes_bias(model: Any, op: Any, added: int) -> bool:  # noqa: ANN401
    """Return whether an op is a transposed convolution that a constant may become the bias of."""
    if _kind(model, op) != Builtin.TRANSPOSE_CONV or len(op.inputs) != INPUTS[_kind(model, op)] - 1:
        return False
    if getattr(op.builtinOptions, "fusedActivationFunction", 0) or not _is_constant(model, added):
        return False
    tensors = model.subgraphs[0].tensors
    shape, outputs = tensors[int(added)].shape, int(tensors[int(op.outputs[0])].shape[-1])
    return len(shape) > 0 and int(shape[-1]) == outputs == _size(tensors[int(added)])


def _raise_version_inplace(model: Any, op: Any) -> None:  # noqa: ANN401
    code = schema.OperatorCodeT()
    old = model.operatorCodes[op.opcodeIndex]
    code.builtinCode, code.deprecatedBuiltinCode = old.builtinCode, old.deprecatedBuiltinCode
    code.version = max(int(old.version), BIASED_VERSION)
    if code.version == old.version:
        return
    op.opcodeIndex = len(model.operatorCodes)
    model.operatorCodes.append(code)


def _kind(model: Any, op: Any) -> int:  # noqa: ANN401
    return int(model.operatorCodes[op.opcodeIndex].builtinCode)


def _is_constant(model: Any, index: int) -> bool:  # noqa: ANN401
    tensor = model.subgraphs[0].tensors[int(index)]
    data = model.buffers[tensor.buffer].data
    return bool(index >= 0) and tensor.type == schema.TensorType.FLOAT32 and data is not None


def _size(tensor: Any) -> int:  # noqa: ANN401
    return int(np.prod(tensor.shape))
