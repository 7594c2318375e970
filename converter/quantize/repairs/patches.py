"""What a convolution multiplies with its weights, at some places of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.building_images import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.quantize.repairs.weights import Convolution


def covariance_shape(layer: Convolution, channels: int) -> tuple[int, ...]:
    """Return the shape of the second moments of a layer's patches.

    `(d, d)`, d the weights of one output channel, or depthwise `(C, h * w, h * w)`.

    Args:
        layer: The convolution.
        channels: Of its input.
    """
    _, height, width, depth = layer.weights.shape
    if layer.is_depthwise:
        return channels, height * width, height * width
    return height * width * depth, height * width * depth


def patches(
    layer: Convolution, image: NDArray[np.float32], count: int, *, random: np.random.Generator
) -> NDArray[np.float32]:
    """Return the inputs of the weights at up to `count` places, drawn at random.

    Zeros stand where the kernel reaches beyond the input.

    Args:
        layer: The convolution.
        image: `(H, W, C)`, its input.
        count: Places wanted.
        random: Where the draw comes from.

    Returns:
        `(P, h * w * C)`, ordered as the weights of an output channel; depthwise `(C, P, h * w)`.

    Source: TensorFlow, "Convolution" (padding SAME: of an odd number of rows, one more below).
    """
    size_hw, op = image.shape[:2], layer.op
    height, width = layer.weights.shape[1:3]
    window = Window((height, width), op.strides, op.dilations)
    if op.options["padding"] == "SAME":
        window = window.same(size_hw)
    rows, columns = (
        np.arange(out)[:, None] * stride + np.arange(kernel) * dilation
        for out, stride, kernel, dilation in zip(
            window.out_hw(size_hw), op.strides, window.kernel, op.dilations, strict=True
        )
    )  # (oh, h), (ow, w)
    padded = np.pad(image, (*window.pads, (0, 0)))
    total = len(rows) * len(columns)
    places = random.choice(total, count, replace=False) if total > count else np.arange(total)
    y, x = np.divmod(places, len(columns))
    taken: NDArray[np.float32] = padded[rows[y][:, :, None], columns[x][:, None, :]]  # (P, h, w, C)
    if layer.is_depthwise:
        taps = taken.reshape(len(places), -1, image.shape[2])  # (P, h * w, C)
        return np.ascontiguousarray(taps.transpose(2, 0, 1))
    return taken.reshape(len(places), -1)
