"""The graph of a Darknet network, its last convolutions split by what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution, max_pool
from converter.graph.edits import renamed
from converter.importers.darknet_layers import (
    BOX_VALUES,
    INPUT,
    Combine,
    Convolution,
    Head,
    MaxPool,
    Resample,
    Route,
)
from converter.importers.darknet_weights import Filters
from edge.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.importers.darknet_layers import Layer, Network, Shape

FEED = "input"
# Source: `leaky_activate` of Darknet, src/activations.h.
LEAKY_SLOPE = 0.1
SIMPLE = {"relu": "RELU", "relu6": "RELU6", "logistic": "LOGISTIC", "tanh": "TANH"}


def roles(number: int) -> tuple[str, str, str]:
    """Return the output roles of a grid: boxes, objectness, scores."""
    return f"boxes{number}", f"objectness{number}", f"scores{number}"


def head_columns(head: Head, number: int) -> dict[str, NDArray[np.int64]]:
    """Return which channels of the convolution before a head are of each role."""
    columns = np.arange(len(head.mask) * (BOX_VALUES + head.classes)).reshape(len(head.mask), -1)
    parts = (columns[:, :4], columns[:, 4], columns[:, BOX_VALUES:])
    return {role: part.ravel() for role, part in zip(roles(number), parts, strict=True)}


def build_graph(network: Network, filters: dict[int, Filters]) -> Graph:
    """Return the graph of a network: input `input`, outputs named by their roles."""
    writer = _Writer(network, filters)
    for number, layer in enumerate(network.layers):
        writer.add(number, layer)
    graph = writer.builder.graph(list(writer.fetches.values()))
    return renamed(graph, {made: role for role, made in writer.fetches.items()})


class _Writer:
    """Writes layer after layer; remembers what each made."""

    def __init__(self, network: Network, filters: dict[int, Filters]) -> None:
        self.network = network
        self.filters = filters
        self.builder = Builder({FEED: (1, *network.input_shape)})
        self.made = {INPUT: FEED}
        self.fetches: dict[str, str] = {}

    def add(self, number: int, layer: Layer) -> None:
        if isinstance(layer.operation, Head):
            self._add_head(layer, layer.operation)
            return
        value = self._operation(number, layer)
        self.made[number] = _activated(self.builder, value, layer.activation)

    def _operation(self, number: int, layer: Layer) -> str:
        operation = layer.operation
        source = self.made[layer.sources[0]]
        if isinstance(operation, Convolution):
            return self._convolution(layer, operation, self.filters[number])
        if isinstance(operation, MaxPool):
            return self._max_pool(layer, operation)
        if isinstance(operation, Route):
            return self._route(layer, operation)
        if isinstance(operation, Combine):
            for other in layer.sources[1:]:
                source = self._combined(source, self.made[other], operation.how)
            return source
        if isinstance(operation, Resample):
            return self._resample(source, layer.shape, operation)
        return source

    def _convolution(self, layer: Layer, operation: Convolution, filters: Filters) -> str:
        """Write a convolution layer's operation, with these filters or a part of them."""
        pad = (operation.pad, operation.pad)
        return convolution(
            self.builder,
            self.made[layer.sources[0]],
            filters.kernel,
            bias=filters.bias,
            window=Window((operation.size, operation.size), operation.stride_hw, pads=(pad, pad)),
            groups=operation.groups,
        )

    def _add_head(self, layer: Layer, head: Head) -> None:
        """Write the convolution before a head thrice, so that each output gets its own scale."""
        number = layer.sources[0]
        below = self.network.layers[number]
        assert isinstance(below.operation, Convolution)  # noqa: S101 - for the type checker
        filters = self.filters[number]
        for role, columns in head_columns(head, len(self.fetches) // 3).items():
            own = Filters(filters.kernel[columns], filters.bias[columns])
            self.fetches[role] = self._convolution(below, below.operation, own)

    def _max_pool(self, layer: Layer, operation: MaxPool) -> str:
        # The first side gets the smaller half.
        before = operation.pad // 2
        pads = (before, operation.pad - before)
        window = Window((operation.size, operation.size), operation.stride_hw, pads=(pads, pads))
        try:
            return max_pool(self.builder, self.made[layer.sources[0]], window)
        except ValueError as error:
            raise ModelError(
                f"{layer.where}: expected a padding of at most half the size {operation.size}, "
                f"found {operation.pad}; leave 'padding' out"
            ) from error

    def _route(self, layer: Layer, operation: Route) -> str:
        parts = []
        for source in layer.sources:
            value = self.made[source]
            channels = self.builder.shape(value)[3] // operation.groups
            start = operation.group * channels
            parts.append(self.builder.part(value, 3, start=start, stop=start + channels))
        return self.builder.concat(parts, 3)

    def _combined(self, value: str, other: str, how: str) -> str:
        """Add or multiply; of a sum the first keeps its channels, the other its first ones.

        Source: `shortcut_cpu` of Darknet, src/blas.c.
        """
        if how == "product":
            return self.builder.binary("MUL", value, other)
        channels, others = self.builder.shape(value)[3], self.builder.shape(other)[3]
        other = self.builder.part(other, 3, start=0, stop=min(channels, others))
        if channels > others:
            other = self.builder.pad(other, [(0, 0)] * 3 + [(0, channels - others)])
        return self.builder.binary("ADD", value, other)

    def _resample(self, value: str, shape: Shape, operation: Resample) -> str:
        if operation.how == "upsample":
            return self.builder.resize("RESIZE_NEAREST_NEIGHBOR", value, shape[:2])
        if operation.how == "average":
            return self.builder.reduce("MEAN", value, (1, 2))
        return _reorg(self.builder, value, operation.stride)


def _activated(builder: Builder, value: str, activation: str) -> str:
    if activation in SIMPLE:
        return builder.unary(SIMPLE[activation], value)
    if activation == "leaky":
        return builder.unary("LEAKY_RELU", value, alpha=LEAKY_SLOPE)
    if activation == "swish":
        return builder.binary("MUL", value, builder.unary("LOGISTIC", value))
    return builder.mish(value) if activation == "mish" else value


def _reorg(builder: Builder, value: str, stride: int) -> str:
    """Write Darknet's reorg, which takes its input for an image of other sides.

    The values, channel by channel, are read as C / s^2 channels of sH x sW; each s x s block of
    these becomes s^2 groups of channels, and the result is read as C s^2 channels of H/s x W/s.
    Source: `reorg_cpu` of Darknet, src/blas.c, with forward = 0.
    """
    _, height, width, channels = builder.shape(value)
    value = builder.transpose(value, (0, 3, 1, 2))  # (1, C, H, W)
    value = builder.reshape(value, (channels // stride**2, height, stride, width, stride))
    value = builder.transpose(value, (2, 4, 0, 1, 3))  # (s, s, C / s^2, H, W)
    value = builder.reshape(value, (1, channels * stride**2, height // stride, width // stride))
    return builder.transpose(value, (0, 2, 3, 1))
