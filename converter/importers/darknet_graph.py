"""The TensorFlow graph of a Darknet network, its last convolutions split by what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from converter.graph_builder import INT32, GraphBuilder
from converter.importers.darknet_heads import BOX_VALUES, Head
from converter.importers.darknet_layers import (
    INPUT,
    Combine,
    Convolution,
    MaxPool,
    Resample,
    Route,
)
from converter.importers.darknet_weights import Filters
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.graph_builder import Pads
    from converter.graphdef import Graph
    from converter.importers.darknet_layers import Layer, Network, Shape

FEED = "input"
# Source: `leaky_activate` of Darknet, src/activations.h.
LEAKY_SLOPE = 0.1
SIMPLE = {"relu": "Relu", "relu6": "Relu6", "logistic": "Sigmoid", "tanh": "Tanh"}


class Built(NamedTuple):
    """A graph, and the node of each output role."""

    graph: Graph
    fetches: dict[str, str]


def roles(number: int) -> tuple[str, str, str]:
    """Return the output roles of a grid: boxes, objectness, scores."""
    return f"boxes{number}", f"objectness{number}", f"scores{number}"


def build_graph(network: Network, filters: dict[int, Filters]) -> Built:
    """Return the graph of a network; its input is the node `FEED`."""
    writer = _Writer(network, filters)
    for number, layer in enumerate(network.layers):
        writer.add(number, layer)
    return Built(writer.builder.graph(), writer.fetches)


class _Writer:
    """Writes layer after layer; remembers the node of each."""

    def __init__(self, network: Network, filters: dict[int, Filters]) -> None:
        self.network = network
        self.filters = filters
        self.builder = GraphBuilder(FEED)
        self.nodes = {INPUT: FEED}
        self.fetches: dict[str, str] = {}

    def add(self, number: int, layer: Layer) -> None:
        if isinstance(layer.operation, Head):
            self._add_head(layer, layer.operation)
            return
        node = self._operation(number, layer)
        self.nodes[number] = _activated(self.builder, node, layer.activation)

    def _operation(self, number: int, layer: Layer) -> str:
        operation = layer.operation
        sources = [self.nodes[source] for source in layer.sources]
        if isinstance(operation, Convolution):
            return self._convolution(number, self.filters[number])
        if isinstance(operation, MaxPool):
            return self._max_pool(layer, operation)
        if isinstance(operation, Route):
            return self._route(layer, operation)
        if isinstance(operation, Combine):
            node = sources[0]
            for other in sources[1:]:
                node = self.builder.op("AddV2" if operation.how == "sum" else "Mul", (node, other))
            return node
        if isinstance(operation, Resample):
            return self._resample(layer, operation)
        return sources[0]

    def _shape(self, number: int) -> Shape:
        return (
            self.network.layers[number].shape if number >= 0 else (*self.network.size_wh[::-1], 3)
        )

    def _convolution(self, number: int, filters: Filters) -> str:
        """Write a convolution layer's operation, with these filters or a part of them."""
        layer = self.network.layers[number]
        operation = layer.operation
        assert isinstance(operation, Convolution)  # noqa: S101 - for the type checker
        height, width, _ = self._shape(layer.sources[0])
        pads = _pads(
            (height, width),
            layer.shape,
            operation.size,
            strides=operation.stride_hw,
            before=operation.pad,
        )
        return self.builder.convolution(
            self.nodes[layer.sources[0]],
            filters.kernel,
            filters.bias,
            size_hw=(height, width),
            strides=operation.stride_hw,
            pads=pads,
            groups=operation.groups,
        )

    def _add_head(self, layer: Layer, head: Head) -> None:
        """Write the convolution before a head thrice, so that each output gets its own scale."""
        below = layer.sources[0]
        filters = self.filters[below]
        columns = np.arange(filters.bias.size).reshape(len(head.mask), BOX_VALUES + head.classes)
        parts = (columns[:, :4], columns[:, 4], columns[:, BOX_VALUES:])
        for role, part in zip(roles(len(self.fetches) // 3), parts, strict=True):
            chosen = part.ravel()
            own = Filters(filters.kernel[..., chosen], filters.bias[chosen])
            self.fetches[role] = self._convolution(below, own)

    def _max_pool(self, layer: Layer, operation: MaxPool) -> str:
        height, width, _ = self._shape(layer.sources[0])
        pads = _pads(
            (height, width),
            layer.shape,
            operation.size,
            strides=operation.stride_hw,
            before=operation.pad // 2,
        )
        # A window must reach every cell that its mirrored border shows.
        if 2 * max(map(max, pads)) > operation.size:
            raise ModelError(
                f"{layer.where}: expected a padding of at most half the size {operation.size}, "
                f"found {pads}; leave 'padding' out"
            )
        return self.builder.max_pool(
            self.nodes[layer.sources[0]],
            (operation.size, operation.size),
            size_hw=(height, width),
            strides=operation.stride_hw,
            pads=pads,
        )

    def _route(self, layer: Layer, operation: Route) -> str:
        parts = []
        for source in layer.sources:
            height, width, channels = self._shape(source)
            node = self.nodes[source]
            if operation.groups > 1:
                channels //= operation.groups
                start = np.array([0, 0, 0, operation.group * channels], np.int32)
                size = np.array([1, height, width, channels], np.int32)
                inputs = (node, self.builder.constant(start), self.builder.constant(size))
                node = self.builder.op("Slice", inputs, {"Index": INT32})
            parts.append(node)
        return parts[0] if len(parts) == 1 else self.builder.concat(parts, axis=3)

    def _resample(self, layer: Layer, operation: Resample) -> str:
        node = self.nodes[layer.sources[0]]
        if operation.how == "upsample":
            return self.builder.upsample_nearest(node, layer.shape[:2])
        if operation.how == "average":
            axes = self.builder.constant(np.array([1, 2], np.int32))
            return self.builder.op("Mean", (node, axes), {"keep_dims": {"b": True}, "Tidx": INT32})
        return _reorg(self.builder, node, self._shape(layer.sources[0]), stride=operation.stride)


def _pads(
    size_hw: tuple[int, int], shape: Shape, kernel: int, *, strides: tuple[int, int], before: int
) -> Pads:
    """Return the rows and columns before and after that the windows reach."""
    vertical, horizontal = (
        (before, max((out - 1) * stride + kernel - side - before, 0))
        for side, out, stride in zip(size_hw, shape, strides, strict=False)
    )
    return vertical, horizontal


def _activated(builder: GraphBuilder, node: str, activation: str) -> str:
    if activation in SIMPLE:
        return builder.op(SIMPLE[activation], (node,))
    if activation == "leaky":
        return builder.op("LeakyRelu", (node,), {"alpha": {"f": LEAKY_SLOPE}})
    if activation == "swish":
        return builder.op("Mul", (node, builder.op("Sigmoid", (node,))))
    if activation == "mish":
        return _mish(builder, node)
    return node


def _mish(builder: GraphBuilder, node: str) -> str:
    """Write x tanh(softplus(x)), softplus(x) as -log(sigmoid(-x)): ops that LiteRT has in int8.

    The minus is a product, as NEG has no int8 kernel. For large x the logarithm is -inf, and its
    tanh exactly 1.
    Source: Misra 2019, "Mish: A Self Regularized Non-Monotonic Activation Function".
    """
    minus = builder.constant(np.array(-1, np.float32))
    sigmoid = builder.op("Sigmoid", (builder.op("Mul", (node, minus)),))
    softplus = builder.op("Mul", (builder.op("Log", (sigmoid,)), minus))
    return builder.op("Mul", (node, builder.op("Tanh", (softplus,))))


def _reorg(builder: GraphBuilder, node: str, shape: Shape, *, stride: int) -> str:
    """Write Darknet's reorg, which takes its input for an image of other sides.

    The values, channel by channel, are read as C / s^2 channels of sH x sW; each s x s block of
    these becomes s^2 groups of channels, and the result is read as C s^2 channels of H/s x W/s.
    Source: `reorg_cpu` of Darknet, src/blas.c, with forward = 0.
    """
    height, width, channels = shape
    values = builder.transpose(node, (0, 3, 1, 2))  # (1, C, H, W)
    values = builder.reshape(values, (channels // stride**2, height, stride, width, stride))
    values = builder.transpose(values, (2, 4, 0, 1, 3))  # (s, s, C / s^2, H, W)
    values = builder.reshape(values, (1, channels * stride**2, height // stride, width // stride))
    return builder.transpose(values, (0, 2, 3, 1))
