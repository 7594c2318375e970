"""What ops with weights compute, in `keras.ops`, without their bias and activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras import ops

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from converter.graph.values import Graph, Op

    Values = Sequence[Any]
    Compute = Callable[["Step", Values], Any]

LAST = {"data_format": "channels_last"}


@dataclass(frozen=True, slots=True)
class Step:
    """One op, and the graph that tells the shapes."""

    op: Op
    graph: Graph

    def open_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output, -1 for the batch."""
        shape = self.graph.shape(self.op.output)
        return (-1, *shape[1:]) if shape[:1] == (1,) else shape

    def input_shape(self, place: int = 0) -> tuple[int, ...]:
        """Return the shape of an input."""
        return self.graph.shape(self.op.inputs[place])

    @property
    def padding(self) -> str:
        """`same` or `valid`."""
        return str(self.op.options.get("padding", "VALID")).lower()


def _convolution(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Weights `(O, h, w, I)`."""
    return ops.conv(
        values[0], ops.transpose(values[1], (1, 2, 3, 0)), strides=step.op.strides,
        padding=step.padding, dilation_rate=step.op.dilations, **LAST,
    )  # fmt: skip


def _depthwise(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Weights `(1, h, w, C * m)`. TensorFlow wants one stride; other strides skip what they can."""
    _, high, wide, made = step.input_shape(1)
    depth = step.input_shape()[-1]
    kernel = ops.reshape(values[1], (high, wide, depth, made // depth))
    rows, columns = step.op.strides
    if rows == columns:
        return ops.depthwise_conv(
            values[0], kernel, strides=rows, padding=step.padding,
            dilation_rate=step.op.dilations, **LAST,
        )  # fmt: skip
    kernel = ops.reshape(kernel, (high, wide, 1, made))
    return ops.conv(
        values[0], kernel, strides=(rows, columns), padding=step.padding,
        dilation_rate=step.op.dilations, **LAST,
    )  # fmt: skip


def _transposed(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Weights `(O, h, w, I)`; every place that a pixel reaches is made, and a part of it taken.

    Source of the part: `ComputePaddingHeightWidth` of TensorFlow Lite.
    """
    kernel = ops.transpose(values[1], (1, 2, 0, 3))
    whole = ops.conv_transpose(values[2], kernel, strides=step.op.strides, padding="valid", **LAST)
    sides = zip(
        step.input_shape(2)[1:3], step.input_shape(1)[1:3], step.op.strides,
        step.open_shape()[1:3], strict=True,
    )  # fmt: skip
    spans, pads = [], []
    for before, size, stride, after in sides:
        start = max(0, (before - 1) * stride + size - after) // 2
        missing = max(0, start + after - ((before - 1) * stride + max(size, stride)))
        spans.append(slice(start, start + after))
        pads.append((0, missing))
    padded = ops.pad(whole, [(0, 0), *pads, (0, 0)])
    return padded[:, spans[0], spans[1], :]


def _fully_connected(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Weights `(O, I)`."""
    flat = ops.reshape(values[0], (-1, step.input_shape(1)[1]))
    return ops.reshape(ops.matmul(flat, ops.transpose(values[1])), step.open_shape())


# Ops with weights: the layer adds their bias.
LINEAR: dict[str, Compute] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _fully_connected,
}
