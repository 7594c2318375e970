"""The weights of convolutions, as int8 will have them: one symmetric scale an output channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

INT8_MAX = 127  # symmetric, narrow range
CONV_INPUTS = 3  # activations, weights, bias
# Axes of the weights that share a scale: (O, h, w, I), and (1, h, w, C).
SHARED_AXES = {
    schema.BuiltinOperator.CONV_2D: (1, 2, 3),
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: (0, 1, 2),
}


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with a bias of its own.

    Attributes:
        op: The schema's operator.
        kind: Of `SHARED_AXES`.
        source: Name of the tensor that it reads.
        name: Name of the tensor that it writes.
        weights: `(O, h, w, I)`, or depthwise `(1, h, w, C)`; read only.
        bias: `(O,)` or `(C,)`; read only.
    """

    op: Any
    kind: int
    source: str
    name: str
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads one input channel."""
        return self.kind == int(schema.BuiltinOperator.DEPTHWISE_CONV_2D)

    @property
    def scales(self) -> NDArray[np.float32]:
        """The int8 scale of each output channel, `(O,)` or `(C,)`."""
        return channel_scales(self.weights, SHARED_AXES[self.kind]).reshape(-1)


def convolutions(model: Any) -> Iterator[Convolution]:  # noqa: ANN401
    """Yield the convolutions of a float `ModelT` in their order.

    Those are left out whose weights are not constant float32, or that share them or the bias with
    another op: what is changed for one would be changed for both.
    """
    graph = model.subgraphs[0]
    uses: dict[int, int] = {}
    for op in graph.operators:
        for index in op.inputs:
            uses[int(index)] = uses.get(int(index), 0) + 1
    for op in graph.operators:
        kind = model.operatorCodes[op.opcodeIndex].builtinCode
        if kind not in SHARED_AXES or len(op.inputs) != CONV_INPUTS:
            continue
        own = [int(index) for index in op.inputs[1:]]
        if any(uses.get(index) != 1 or not _is_constant(model, index) for index in own):
            continue
        source, name = (graph.tensors[int(i)].name.decode() for i in (op.inputs[0], op.outputs[0]))
        weights, bias = (_values(model, graph.tensors[index]) for index in own)
        yield Convolution(op, int(kind), source, name, weights, bias)


def set_convolution_inplace(
    model: Any,  # noqa: ANN401
    convolution: Convolution,
    *,
    weights: NDArray[Any] | None = None,
    bias: NDArray[Any] | None = None,
) -> None:
    """Write other weights or another bias, of the same shapes, into the `ModelT`."""
    tensors = model.subgraphs[0].tensors
    for index, values in zip(convolution.op.inputs[1:], (weights, bias), strict=True):
        if values is not None:
            data = np.ascontiguousarray(values, np.float32).tobytes()
            buffer = np.frombuffer(data, np.uint8)
            model.buffers[tensors[int(index)].buffer].data = buffer


def channel_scales(weights: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the int8 scales, one for all of `axes` together, which are kept as 1; never 0."""
    scale: NDArray[np.float32] = np.abs(weights).max(axis=axes, keepdims=True)
    scale /= np.float32(INT8_MAX)
    scale[scale == 0] = 1
    return scale


def rounding_error(weights: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """Return ``Q(w) - w`` of symmetric int8, one scale for all of `axes` together."""
    scale = channel_scales(weights, axes)
    error: NDArray[np.float32] = np.round(weights / scale) * scale - weights
    return error


def _is_constant(model: Any, index: int) -> bool:  # noqa: ANN401
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    return tensor.type == schema.TensorType.FLOAT32 and data is not None and len(data) > 0


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401
    data = bytes(model.buffers[tensor.buffer].data)
    values: NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(tensor.shape)
    return values
