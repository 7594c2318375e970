"""Small ONNX models of one word on a whole image, as PyTorch exports them."""

from __future__ import annotations

import numpy as np
from reference.onnx_models import OnnxWriter


def classifier(*, classes=5, last="Softmax"):
    """Convolutions, the mean over the image, `Flatten`, `Gemm`; most exports end in raw scores."""
    net = OnnxWriter(seed=7)
    value = net.op("Relu", net.conv("image", 3, 8, kernel=3, stride=2))
    value = net.op("Relu", net.conv(value, 8, 16, kernel=3, stride=2))
    mean = net.op("Flatten", net.op("GlobalAveragePool", value), axis=1)
    weights = net.constant(net.normals(classes, 16))
    raw = net.op("Gemm", mean, weights, net.constant(np.zeros(classes)), transB=1)
    return net.model([net.op(last, raw) if last else raw])


def autoencoder():
    """Down by convolutions, up by transposed ones, a sigmoid."""
    net = OnnxWriter(seed=8)
    value = net.op("Relu", net.conv("image", 3, 8, kernel=3, stride=2))
    value = net.op("Relu", net.conv(value, 8, 4, kernel=3, stride=2))
    for inside, outside in ((4, 8), (8, 3)):
        weights = net.constant(net.normals(inside, outside, 2, 2) * 0.5)
        value = net.op(
            "ConvTranspose", value, weights, net.constant(np.zeros(outside)),
            kernel_shape=[2, 2], strides=[2, 2],
        )  # fmt: skip
    return net.model([net.op("Sigmoid", value)])
