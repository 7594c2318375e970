"""What a convolution multiplies with its weights, at some places of its output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    is_same = layer.op.options["padding"] == "SAME"
    kernels = zip(layer.weights.shape[1:3], layer.op.strides, layer.op.dilations, strict=True)
    axes = [
        _Axis(*kernel).reads(side, is_same=is_same)
        for kernel, side in zip(kernels, image.shape[:2], strict=True)
    ]
    rows, columns = (reads for _, reads in axes)  # (oh, h), (ow, w)
    padded = np.pad(image, (*(margin for margin, _ in axes), (0, 0)))
    total = len(rows) * len(columns)
    places = random.choice(total, count, replace=False) if total > count else np.arange(total)
    y, x = np.divmod(places, len(columns))
    taken = padded[rows[y][:, :, None], columns[x][:, None, :]]  # (P, h, w, C)
    if layer.is_depthwise:
        taps = taken.reshape(len(places), -1, image.shape[2])  # (P, h * w, C)
        return np.ascontiguousarray(taps.transpose(2, 0, 1))
    return taken.reshape(len(places), -1)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A kernel's way along the rows, or the columns, of its input."""

    kernel: int
    stride: int
    dilation: int

    def reads(self, side: int, *, is_same: bool) -> tuple[tuple[int, int], NDArray[np.intp]]:
        """Return the padding before and after, and the padded rows of each output, `(n, k)`."""
        reach = (self.kernel - 1) * self.dilation + 1
        outputs = -(-side // self.stride) if is_same else (side - reach) // self.stride + 1
        missing = max((outputs - 1) * self.stride + reach - side, 0) if is_same else 0
        first = np.arange(outputs)[:, None] * self.stride
        return (missing // 2, missing - missing // 2), first + np.arange(
            self.kernel
        ) * self.dilation
