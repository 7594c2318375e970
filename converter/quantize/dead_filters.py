"""Give filters without weights one tiny weight, so that litert-quantizer keeps their bias.

It takes a filter's scale from its weights; a filter whose weights are all zero gets one so small
that its bias, a multiple of it, is lost: the output is 0 instead of the bias. Measured with
litert-quantizer 0.11: 3.0 becomes 0.0. Dead filters are what pruning and weight decay leave behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.quantize.recipe import Activations

# Op to the axis of its weights that counts filters.
FILTER_AXES = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: -1,
}
INPUTS = 3  # activations, weights, bias
INT8_MAX, INT16_MAX, LEVELS = 127, 32767, 255
# What the bias becomes as an integer, far from the ends of int32. The weight then adds at most
# 127 * 255 / 2^28 of the bias, a ten-thousandth; with int16, 127 * 32767 / 2^28, a fiftieth.
BIAS_QUANTA = 2**28


def with_live_filters(
    flatbuffer: bytes, ranges: dict[str, Range], *, activations: Activations = "int8"
) -> bytes:
    """Return the float model whose filters all have a weight if they have a bias.

    Args:
        flatbuffer: The float model.
        ranges: Of the input of each convolution, by tensor name.
        activations: What they will be quantised to.
    """
    model = fb.unpack(flatbuffer)
    graph = model.subgraphs[0]
    count = 0
    for op in graph.operators:
        kind = model.operatorCodes[op.opcodeIndex].builtinCode
        if kind not in FILTER_AXES or len(op.inputs) != INPUTS or min(op.inputs) < 0:
            continue
        source, weights, bias = (graph.tensors[index] for index in op.inputs)
        found = ranges.get(source.name.decode())
        if found is None or not (_is_constant(model, weights) and _is_constant(model, bias)):
            continue
        live = _live(
            _values(model, weights),
            _values(model, bias),
            axis=FILTER_AXES[kind],
            input_scale=_scale(found.with_zero(), activations),
        )
        if live is not None:
            # A buffer of its own: others may read the old one.
            weights.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(live.tobytes(), np.uint8)
            count += 1
    return fb.pack(model) if count else flatbuffer


def _scale(found: Range, activations: Activations) -> float:
    if activations == "int16":
        return max(-found.min, found.max) / INT16_MAX
    return (found.max - found.min) / LEVELS


def _live(
    weights: NDArray[np.float32], bias: NDArray[np.float32], *, axis: int, input_scale: float
) -> NDArray[np.float32] | None:
    """Return the weights with a tiny one in each dead filter; `None` where none is dead."""
    filters = np.moveaxis(weights, axis, 0).reshape(len(bias), -1)  # (O, K)
    dead = ~filters.any(axis=1) & (bias != 0)
    if not dead.any() or not input_scale:
        return None
    live = np.array(np.moveaxis(weights, axis, 0))  # (O, ...)
    tiny = INT8_MAX * np.abs(bias) / (input_scale * BIAS_QUANTA)
    live.reshape(len(bias), -1)[dead, 0] = tiny[dead]
    return np.ascontiguousarray(np.moveaxis(live, 0, axis), np.float32)


def _is_constant(model: Any, tensor: Any) -> bool:  # noqa: ANN401
    is_float = tensor.type == schema.TensorType.FLOAT32
    return is_float and model.buffers[tensor.buffer].data is not None


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401
    data = bytes(model.buffers[tensor.buffer].data)
    values: NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(tensor.shape)
    return values
