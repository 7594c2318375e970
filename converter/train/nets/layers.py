"""What nets are made of: convolutions with He's weights, or with those of a trained net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.building import Builder
from converter.graph.building_images import (
    Window,
    convolution,
    max_pool,
    transposed_convolution,
)
from converter.graph.edits import renamed
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from converter.graph.values import Graph

    Array = NDArray[np.float32]

IMAGE = "image"
COLOURS = 3
LEAKY = 0.1  # Source: Darknet, `leaky_activate`.
LEAST_CHANNELS = 8
# What a head's weights deviate by, and its score before any training: 0.01, as a logit.
# Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", section 4.1.
HEAD_DEVIATION, PRIOR_LOGIT = 0.01, -4.6
# Of conv4_3, whose values are larger than those of other grids; it trains as any other weight.
# Source: Liu et al. 2016, section 3.1, after ParseNet.
SCALED = 1 / 20


def multiple(channels: float) -> int:
    """Return the next multiple of 8, never below nine tenths of what was asked for.

    Source: Sandler et al. 2018, "MobileNetV2", `_make_divisible` of its public code.
    """
    found = max(LEAST_CHANNELS, int(channels + LEAST_CHANNELS / 2) // 8 * 8)
    return found + (8 if found < 0.9 * channels else 0)


class Layers:
    """A net in the making.

    Args:
        size_wh: Of the input, pixels.
        seed: Of the weights.
        trained: Filters `(Cout, Cin / groups, kH, kW)` and biases of another net's convolutions, in
            order: each convolution that is not `own` takes the next, if that is of its shape.
    """

    def __init__(
        self, size_wh: tuple[int, int], *, seed: int, trained: Iterable[tuple[Array, Array]] = ()
    ) -> None:
        self.b = Builder({IMAGE: (1, size_wh[1], size_wh[0], COLOURS)})
        self.taken = 0
        self._random = np.random.default_rng(seed)
        self._trained = iter(trained)

    def shape(self, x: str) -> tuple[int, ...]:
        """Return the shape of what was made."""
        return self.b.shape(x)

    # As many as a convolution has.
    def conv(  # noqa: PLR0913
        self,
        x: str,
        out: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: str = "RELU",
        padding: str = "same",
        own: bool = False,
        dilation: int = 1,
    ) -> str:
        """Add a convolution and what bends its values; its weights are of variance 2 / fan-in.

        Source: He et al. 2015, "Delving Deep into Rectifiers", eq. 10.
        """
        size_hw, depth = self.shape(x)[1:3], self.shape(x)[3] // groups
        window = Window((kernel, kernel), (stride, stride), (dilation, dilation))
        window = window.same(size_hw) if padding == "same" else window
        shape = out, depth, kernel, kernel
        found = None if own else next(self._trained, None)
        if found is not None and found[0].shape == shape:
            self.taken += 1
            filters, biases = found
        else:
            filters, biases = self._drawn(shape, np.sqrt(2 / np.prod(shape[1:])))
        made = convolution(self.b, x, filters, bias=biases, window=window, groups=groups)
        return self.bent(self._checked(made), activation)

    def depthwise(self, x: str, *, stride: int = 1, own: bool = False) -> str:
        """Add a 3 x 3 depthwise convolution with ReLU6."""
        count = self.shape(x)[3]
        return self.conv(x, count, stride=stride, groups=count, activation="RELU6", own=own)

    def head(
        self, x: str, out: int, *, kernel: int = 1, bias: float = 0.0,
        deviation: float = HEAD_DEVIATION,
    ) -> str:  # fmt: skip
        """Add a convolution whose numbers are what a decoder reads; they start small."""
        filters, biases = self._drawn((out, self.shape(x)[3], kernel, kernel), deviation)
        window = Window((kernel, kernel)).same(self.shape(x)[1:3])
        return convolution(self.b, x, filters, bias=biases + np.float32(bias), window=window)

    def scaled(self, x: str) -> str:
        """Scale each channel by a number of its own, which is a 1 x 1 depthwise convolution."""
        count = self.shape(x)[3]
        filters = np.full((count, 1, 1, 1), SCALED, np.float32)
        return convolution(self.b, x, filters, bias=None, window=Window((1, 1)), groups=count)

    def bent(self, x: str, activation: str) -> str:
        """Add an activation: NONE, RELU, RELU6, LEAKY."""
        if activation == "NONE":
            return x
        if activation == "LEAKY":
            return self.b.unary("LEAKY_RELU", x, alpha=LEAKY)
        return self.b.unary(activation, x)

    def pool(self, x: str, *, kernel: int = 2, stride: int = 2, up: bool = False) -> str:
        """Add a maximum over windows; `up` rounds an odd side up, as a stride of 1 always does."""
        window = Window((kernel, kernel), (stride, stride))
        same = up or stride == 1
        made = max_pool(self.b, x, window.same(self.shape(x)[1:3]) if same else window)
        return self._checked(made)

    def _checked(self, x: str) -> str:
        """Refuse an input of which nothing is left behind a layer.

        Raises:
            ConfigError: It is too small.
        """
        if min(self.shape(x)) < 1:
            _, high, wide, _ = self.shape(IMAGE)
            raise ConfigError(
                f"expected an input that all layers can read, found {wide}x{high}, of which "
                "nothing is left behind some; choose a larger one with --input"
            )
        return x

    def doubled(self, x: str, out: int) -> str:
        """Add a transposed convolution of 2 x 2 that doubles rows and columns."""
        _, high, wide, depth = self.shape(x)
        filters = self._random.normal(0, np.sqrt(2 / depth), (depth, out, 2, 2)).astype(np.float32)
        return transposed_convolution(
            self.b, x, filters, bias=np.zeros(out, np.float32), window=Window((2, 2), (2, 2)),
            size_hw=(2 * high, 2 * wide),
        )  # fmt: skip

    def resized(self, x: str, like: str, *, kind: str = "RESIZE_BILINEAR") -> str:
        """Scale to the rows and columns of another."""
        return self.b.resize(kind, x, self.shape(like)[1:3], half_pixel=True)

    def graph(self, outputs: Mapping[str, str]) -> Graph:
        """Return the graph whose outputs are named by their roles."""
        made = self.b.graph(list(outputs.values()))
        return renamed(made, {name: role for role, name in outputs.items()})

    def _drawn(self, shape: tuple[int, ...], deviation: float) -> tuple[Array, Array]:
        filters = self._random.normal(0, deviation, shape).astype(np.float32)
        return filters, np.zeros(shape[0], np.float32)


def convolutions(graph: Graph, names: Iterable[str] | None = None) -> list[tuple[Array, Array]]:
    """Return filters `(Cout, Cin / groups, kH, kW)` and biases of a graph's convolutions, in order.

    Args:
        graph: Float or quantised.
        names: Outputs of those that are left out.
    """
    without = set(names or ())
    found = []
    for op in graph.ops:
        if op.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or op.output in without:
            continue
        weights, bias = (_numbers(graph, name) for name in op.inputs[1:3])
        order = (3, 0, 1, 2) if op.kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
        found.append((np.ascontiguousarray(weights.transpose(order)), bias))
    return found


def _numbers(graph: Graph, name: str) -> Any:  # noqa: ANN401 - an array
    tensor = graph.tensors[name]
    return tensor.numbers if tensor.quantisation else np.asarray(tensor.value)
