"""Float models built by hand: each op that the ONNX writer knows, with its options."""

from __future__ import annotations

import numpy as np
from tflite_files import Builder

from converter.graph.edits import renamed
from converter.graph.writing import write

SHAPE = (1, 9, 8, 4)


class FloatModel(Builder):
    """Ops one behind the other on one float image."""

    def __init__(self, shape=SHAPE):
        super().__init__()
        self.random = np.random.default_rng(0)
        self.first = self.last = self.tensor("input", shape)

    def weights(self, *shape):
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def whole(self, *numbers, shape=None):
        return self.constant(np.array(numbers, np.int32).reshape(shape or (len(numbers),)))

    def then(self, kind, inputs, shape, **options):
        made = self.tensor(f"t{len(self.tensors)}", shape)
        self.op(kind, inputs, (made,), **options)
        self.last = made
        return self

    def named(self):
        """Return the graph, its output `output`."""
        return renamed(self.graph((self.first,), (self.last,)), {self.last: "output"})

    def flatbuffer(self):
        return write(self.named())


def conv(m, padding="SAME", stride=1, dilation=1, shape=(1, 9, 8, 6)):
    return m.then(
        "CONV_2D", (m.last, m.weights(6, 3, 3, 4), m.weights(6)), shape,
        padding=padding, strideH=stride, strideW=stride, dilationHFactor=dilation,
        dilationWFactor=dilation, fusedActivationFunction="RELU6",
    )  # fmt: skip


def depthwise(m, multiplier=1, stride=2):
    shape = (1, 5, 4, 4 * multiplier)
    return m.then(
        "DEPTHWISE_CONV_2D",
        (m.last, m.weights(1, 3, 3, 4 * multiplier), m.weights(4 * multiplier)),
        shape, padding="SAME", strideH=stride, strideW=stride,
        depthMultiplier=multiplier, dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip


def transpose_conv(m, padding="SAME", kernel=3, shape=(1, 18, 16, 6)):
    inputs = (m.whole(*shape), m.weights(6, kernel, kernel, 4), m.last)
    return m.then(
        "TRANSPOSE_CONV", inputs, shape,
        padding=padding, strideH=2, strideW=2,
    )  # fmt: skip


def pool(m, kind, padding="SAME"):
    shape = (1, 5, 4, 4) if padding == "SAME" else (1, 4, 3, 4)
    return m.then(
        kind, (m.last,), shape,
        padding=padding, strideH=2, strideW=2, filterHeight=3, filterWidth=3,
    )  # fmt: skip


def resize(m, kind, **fields):
    return m.then(kind, (m.last, m.whole(18, 12)), (1, 18, 12, 4), **fields)


def fully_connected(m):
    m.then("RESHAPE", (m.last, m.whole(1, 288)), (1, 288))
    return m.then(
        "FULLY_CONNECTED",
        (m.last, m.weights(5, 288), m.weights(5)),
        (1, 5),
    )


def concat(m, axis):
    shape = tuple(2 * side if number == axis % 4 else side for number, side in enumerate(SHAPE))
    return m.then(
        "CONCATENATION", (m.last, m.last), shape, axis=axis,
    )  # fmt: skip


def strided(m):
    ends = (m.whole(0, 1, 0, 0), m.whole(1, 9, 0, 4), m.whole(1, 2, 1, 2))
    return m.then("STRIDED_SLICE", (m.last, *ends), (1, 4, 8, 2), endMask=0b0100)


def residual(m):
    m.then("RELU", (m.last,), SHAPE)
    skip = m.last
    inputs = (m.last, m.weights(4, 1, 1, 4), m.weights(4))
    m.then("CONV_2D", inputs, SHAPE, padding="SAME", strideH=1, strideW=1)
    return m.then("ADD", (m.last, skip), SHAPE)


def unary(kind, **options):
    return lambda m: m.then(kind, (m.last,), SHAPE, **options)


MODELS = {
    "conv same": conv,
    "conv stride 2": lambda m: conv(m, stride=2, shape=(1, 5, 4, 6)),
    "conv valid": lambda m: conv(m, padding="VALID", shape=(1, 7, 6, 6)),
    "conv dilated": lambda m: conv(m, dilation=2),
    "depthwise": depthwise,
    "depthwise multiplied": lambda m: depthwise(m, multiplier=2),
    "transpose conv same": transpose_conv,
    "transpose conv kernel 2": lambda m: transpose_conv(m, kernel=2),
    "transpose conv valid": lambda m: transpose_conv(m, padding="VALID", shape=(1, 19, 17, 6)),
    "max pool": lambda m: pool(m, "MAX_POOL_2D"),
    "average pool": lambda m: pool(m, "AVERAGE_POOL_2D"),
    "average pool valid": lambda m: pool(m, "AVERAGE_POOL_2D", "VALID"),
    "bilinear": lambda m: resize(m, "RESIZE_BILINEAR"),
    "bilinear centres": lambda m: resize(m, "RESIZE_BILINEAR", halfPixelCenters=True),
    "bilinear corners": lambda m: resize(m, "RESIZE_BILINEAR", alignCorners=True),
    "nearest": lambda m: resize(m, "RESIZE_NEAREST_NEIGHBOR"),
    "nearest centres": lambda m: resize(m, "RESIZE_NEAREST_NEIGHBOR", halfPixelCenters=True),
    "fully connected": fully_connected,
    "concat depth": lambda m: concat(m, -1),
    "concat height": lambda m: concat(m, 1),
    "residual": residual,
    "add a constant": lambda m: m.then("ADD", (m.last, m.weights(4)), SHAPE),
    "mul by an image": lambda m: m.then("MUL", (m.last, m.weights(9, 8, 1)), SHAPE),
    "pad": lambda m: m.then(
        "PAD", (m.last, m.whole(0, 0, 1, 2, 3, 0, 0, 1, shape=(4, 2))), (1, 12, 11, 5)
    ),
    "mean": lambda m: m.then("MEAN", (m.last, m.whole(1, 2)), (1, 4)),
    "mean kept": lambda m: m.then("MEAN", (m.last, m.whole(1, 2)), (1, 1, 1, 4), keepDims=True),
    "reshape": lambda m: m.then("RESHAPE", (m.last, m.whole(1, 72, 4)), (1, 72, 4)),
    "transpose": lambda m: m.then("TRANSPOSE", (m.last, m.whole(0, 2, 1, 3)), (1, 8, 9, 4)),
    "softmax": unary("SOFTMAX", beta=1.0),
    "strided slice": strided,
    "prelu": lambda m: m.then("PRELU", (m.last, m.weights(1, 1, 4)), SHAPE),
    "leaky relu": unary("LEAKY_RELU", alpha=0.1),
    **{
        kind.lower(): unary(kind)
        for kind in ("ABS", "EXP", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6", "TANH")
    },
}
