"""Small float nets: a block of each kind between two convolutions, and blocks drawn at random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution

SHAPE = (1, 8, 6, 3)
OUTPUTS = 5


class Net:
    """A net in the making; every number of it is drawn by one seed."""

    def __init__(self, seed: int = 0, *, shape: tuple[int, ...] = SHAPE) -> None:
        self.random = np.random.default_rng(seed)
        self.builder = Builder({"image": shape})

    def numbers(self, *shape):
        """Return numbers about 0."""
        return self.random.normal(0, 0.5, shape).astype(np.float32)

    def conv(self, value, out, *, kernel=3, groups=1, stride=1):
        """Add a convolution, as large as what it reads where the stride is 1."""
        depth = self.builder.shape(value)[3] // groups
        size_hw = self.builder.shape(value)[1:3]
        window = Window((kernel, kernel), (stride, stride)).same(size_hw)
        filters = self.numbers(out, depth, kernel, kernel)
        return convolution(
            self.builder, value, filters, bias=self.numbers(out), window=window, groups=groups
        )

    def relu(self, value):
        """Add an activation, which is fused where it can be."""
        return self.builder.unary("RELU", value)

    def block(self, name, value):
        """Add a block of this kind."""
        return BLOCKS[name](self, value)

    def close(self, value):
        """Return the graph that ends in a head."""
        return self.builder.graph([self.conv(value, OUTPUTS, kernel=1)])


def _residual(net, value):
    return net.builder.binary("ADD", value, net.conv(value, net.builder.shape(value)[3]))


def _excite(net, value):
    b, channels = net.builder, net.builder.shape(value)[3]
    mean = b.reduce("MEAN", value, (1, 2))
    gate = b.unary("LOGISTIC", net.conv(net.relu(net.conv(mean, 8, kernel=1)), channels, kernel=1))
    return b.binary("MUL", value, gate)


def _halves(net, value):
    b, channels = net.builder, net.builder.shape(value)[3]
    left = b.part(value, 3, start=0, stop=channels // 2)
    right = b.part(value, 3, start=channels // 2, stop=channels)
    return b.concat([net.conv(right, 8), left], 3)


def _strided(net, value):
    b, (_, height, width, channels) = net.builder, net.builder.shape(value)
    rows = b.sliced(value, [slice(0, 1, 1), slice(0, height, 2), slice(0, width, 1),
                            slice(2, channels, 1)])  # fmt: skip
    return net.conv(rows, 16)


def _flat(net, value):
    b = net.builder
    pooled = b.reduce("MEAN", value, (1,))
    flat = b.reshape(pooled, (1, pooled_size(b, pooled)))
    made = b.fully_connected(flat, net.numbers(24, pooled_size(b, pooled)), net.numbers(24))
    return b.reshape(made, (1, 1, 1, 24))


def _means(net, value):
    b, shape = net.builder, net.builder.shape(value)
    means = b.add("MEAN", [value, b.numbers(1, 2)], (1, shape[3]), keepDims=False)
    made = b.fully_connected(means, net.numbers(16, shape[3]), None)
    return b.reshape(made, (1, 1, 1, 16))


def pooled_size(builder, value):
    """Return how many numbers a tensor has."""
    return int(np.prod(builder.shape(value)))


def _in_depth(net, value):
    b, (_, height, width, channels) = net.builder, net.builder.shape(value)
    deep = b.add("SPACE_TO_DEPTH", [value], (1, height // 2, width // 2, channels * 4), blockSize=2)
    wide = net.conv(deep, 64)
    return b.add("DEPTH_TO_SPACE", [wide], (1, height, width, 16), blockSize=2)


def _turned(net, value):
    b, shape = net.builder, net.builder.shape(value)
    planes = b.transpose(value, (0, 3, 1, 2))
    flat = b.reshape(planes, (1, shape[3], shape[1] * shape[2]))
    return b.transpose(b.reshape(flat, (1, shape[3], shape[1], shape[2])), (0, 2, 3, 1))


BLOCKS = {
    "plain": lambda net, value: net.relu(net.conv(value, 24)),
    "strided": lambda net, value: net.conv(value, 16, stride=2),
    "grouped": lambda net, value: net.conv(value, 32, groups=2),
    "depthwise": lambda net, value: net.conv(
        value, net.builder.shape(value)[3], groups=net.builder.shape(value)[3]
    ),
    "multiplied": lambda net, value: net.conv(
        value, 2 * net.builder.shape(value)[3], groups=net.builder.shape(value)[3]
    ),
    "residual": _residual,
    "excite": _excite,
    "halves": _halves,
    "rows": _strided,
    "flat": _flat,
    "means": _means,
    "depth": _in_depth,
    "turned": _turned,
    "scaled": lambda net, value: net.builder.binary(
        "MUL", value, net.builder.constant(net.numbers(net.builder.shape(value)[3]))
    ),
    "leaky": lambda net, value: net.builder.unary("LEAKY_RELU", value, alpha=0.1),
    "prelu": lambda net, value: net.builder.add(
        "PRELU", [value, net.builder.constant(net.numbers(1, 1, net.builder.shape(value)[3]))],
        net.builder.shape(value),
    ),
    "padded": lambda net, value: net.builder.pad(value, [(0, 0), (1, 0), (0, 1), (0, 0)]),
    "padded channels": lambda net, value: net.builder.pad(value, [(0, 0), (0, 0), (0, 0), (0, 8)]),
    "resized": lambda net, value: net.builder.resize("RESIZE_BILINEAR", value, (8, 6)),
    "joined": lambda net, value: net.builder.concat([net.conv(value, 16), value], 3),
    "stacked": lambda net, value: net.builder.concat([value, value], 1),
    "softmax": lambda net, value: net.builder.unary("SOFTMAX", value, beta=1.0),
}  # fmt: skip
# They need rows and columns that others may have taken away.
ROOMY = {"flat", "means", "depth", "rows", "turned", "strided"}


def net_of(*names, seed=0, shape=SHAPE):
    """Return a graph of blocks one behind the other, between two convolutions."""
    net = Net(seed, shape=shape)
    value = net.relu(net.conv("image", 16))
    for name in names:
        value = net.block(name, value)
    return net.close(value)


@st.composite
def nets(draw):
    """Return a graph of a few blocks, at most one of those that need room, and that one first."""
    first = draw(st.sampled_from(sorted(BLOCKS)))
    rest = st.sampled_from(sorted(set(BLOCKS) - ROOMY))
    names = [first, *draw(st.lists(rest, max_size=3))]
    return net_of(*names, seed=draw(st.integers(0, 9)))
