"""The weights of convolutions, as int8 will have them: one symmetric scale an output channel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op

INT8_MAX = 127  # symmetric, narrow range
CONV_INPUTS = 3  # activations, weights, bias
# Axes of the weights that share a scale: (O, h, w, I), and (1, h, w, C).
SHARED_AXES = {"CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (0, 1, 2)}


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with a bias of its own.

    Attributes:
        op: Of the graph.
        weights: `(O, h, w, I)`, or depthwise `(1, h, w, C)`; read only.
        bias: `(O,)` or `(C,)`; read only.
    """

    op: Op
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def source(self) -> str:
        """Name of the tensor that it reads."""
        return self.op.inputs[0]

    @property
    def name(self) -> str:
        """Name of the tensor that it writes."""
        return self.op.output

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads one input channel."""
        return self.op.kind == "DEPTHWISE_CONV_2D"

    @property
    def shared_axes(self) -> tuple[int, ...]:
        """Axes of the weights that share a scale."""
        return SHARED_AXES[self.op.kind]

    @property
    def scales(self) -> NDArray[np.float32]:
        """The int8 scale of each output channel, `(O,)` or `(C,)`."""
        return channel_scales(self.weights, self.shared_axes).reshape(-1)

    def values(
        self, *, weights: NDArray[Any] | None = None, bias: NDArray[Any] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """Return other weights or another bias by the names of their tensors."""
        pairs = zip(self.op.inputs[1:], (weights, bias), strict=True)
        return {
            name: np.ascontiguousarray(value, np.float32)
            for name, value in pairs
            if value is not None
        }


def convolutions(graph: Graph) -> Iterator[Convolution]:
    """Yield the convolutions of a float graph in their order.

    Those are left out whose weights are not constant float32, or that share them or the bias with
    another op: what is changed for one would be changed for both.
    """
    uses = Counter(name for op in graph.ops for name in op.inputs)
    for op in graph.ops:
        if op.kind not in SHARED_AXES or len(op.inputs) != CONV_INPUTS:
            continue
        weights, bias = (graph.value(name) for name in op.inputs[1:])
        if weights is None or bias is None or any(uses[name] > 1 for name in op.inputs[1:]):
            continue
        if weights.dtype == bias.dtype == np.float32:
            yield Convolution(op, weights, bias)


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
