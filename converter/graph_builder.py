"""Write a TensorFlow graph op by op, images laid out as batch, row, column, channel.

Only ops that TensorFlow's own converter lowers to a LiteRT op each, all float32.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graphdef import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FLOAT = {"type": "DT_FLOAT"}
INT32 = {"type": "DT_INT32"}
SYMMETRIC = {"s": base64.b64encode(b"SYMMETRIC").decode()}
NHWC = {"s": base64.b64encode(b"NHWC").decode()}
Pads = tuple[tuple[int, int], tuple[int, int]]


class GraphBuilder:
    """Collects nodes and constants; every method returns the reference of what it made.

    Args:
        feed: Name of the input node.
    """

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self._nodes: dict[str, Node] = {feed: Node(feed, "Placeholder", (), {"dtype": FLOAT})}
        self._constants: dict[str, NDArray[Any]] = {}

    def graph(self) -> Graph:
        """Return what was built."""
        return Graph(dict(self._nodes), dict(self._constants))

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; float64 becomes float32."""
        name = f"constant_{len(self._constants)}"
        self._constants[name] = value.astype(np.float32) if value.dtype == np.float64 else value
        self._nodes[name] = Node(name, "Const")
        return name

    def op(self, op: str, inputs: Sequence[str], attrs: dict[str, Any] | None = None) -> str:
        """Add an op of float32 inputs; `attrs` as the protobuf JSON mapping spells them."""
        name = f"{op}_{len(self._nodes)}"
        self._nodes[name] = Node(name, op, tuple(inputs), {"T": FLOAT, **(attrs or {})})
        return name

    # A convolution is described by all of these; they are its names in every framework.
    def convolution(  # noqa: PLR0913
        self,
        image: str,
        filters: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        *,
        size_hw: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        dilations: tuple[int, int] = (1, 1),
        pads: Pads = ((0, 0), (0, 0)),
        groups: int = 1,
    ) -> str:
        """Add a convolution with zero padding, depthwise where every channel is its own group.

        Args:
            image: `(1, H, W, Cin)`.
            filters: `(kH, kW, Cin / groups, Cout)`.
            bias: `(Cout,)` or `None`.
            size_hw: H and W of the image.
            strides: Vertical and horizontal.
            dilations: Vertical and horizontal.
            pads: Zeros (before, after) rows, then columns.
            groups: A divisor of both channel counts.
        """
        kernel = tuple(
            (side - 1) * dilation + 1
            for side, dilation in zip(filters.shape[:2], dilations, strict=True)
        )
        image, padding = self._padded(image, pads, kernel, strides=strides, size_hw=size_hw)
        attrs = {
            "strides": _spatial(strides),
            "dilations": _spatial(dilations),
            "padding": padding,
            "data_format": NHWC,
        }
        if groups > 1 and filters.shape[2] == 1:
            multiplier = filters.shape[3] // groups
            filters = filters.reshape(*filters.shape[:2], groups, multiplier)
            op = "DepthwiseConv2dNative"
        else:
            op = "Conv2D"
        found = self.op(op, (image, self.constant(filters)), attrs)
        return found if bias is None else self.op("BiasAdd", (found, self.constant(bias)))

    def max_pool(
        self,
        image: str,
        kernel: tuple[int, int],
        *,
        size_hw: tuple[int, int],
        strides: tuple[int, int],
        pads: Pads,
    ) -> str:
        """Add a maximum over windows that leaves out the padding.

        Where TensorFlow has no word for the padding, the border is repeated: no new maximum, and
        no -inf, for which int8 has no level.
        """
        image, padding = self._padded(
            image, pads, kernel, strides=strides, size_hw=size_hw, mirrored=True
        )
        attrs = {"ksize": _spatial(kernel), "strides": _spatial(strides), "padding": padding}
        return self.op("MaxPool", (image,), attrs)

    def concat(self, parts: Sequence[str], *, axis: int) -> str:
        """Join along an axis."""
        inputs = (*parts, self.constant(np.array(axis, np.int32)))
        return self.op("ConcatV2", inputs, {"N": {"i": str(len(parts))}, "Tidx": INT32})

    def split(self, value: str, sizes: Sequence[int], *, axis: int) -> list[str]:
        """Cut along an axis into parts of these sizes."""
        inputs = (
            value,
            self.constant(np.array(sizes, np.int32)),
            self.constant(np.array(axis, np.int32)),
        )
        name = self.op("SplitV", inputs, {"num_split": {"i": str(len(sizes))}, "Tlen": INT32})
        return [f"{name}:{number}" if number else name for number in range(len(sizes))]

    def transpose(self, value: str, order: Sequence[int]) -> str:
        """Reorder the axes."""
        inputs = (value, self.constant(np.array(order, np.int32)))
        return self.op("Transpose", inputs, {"Tperm": INT32})

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Give the same values another shape."""
        inputs = (value, self.constant(np.array(shape, np.int32)))
        return self.op("Reshape", inputs, {"Tshape": INT32})

    def strided_slice(self, value: str, parts: Sequence[slice]) -> str:
        """Take a part along each axis; starts, ends and steps are numbers."""
        ends = zip(*((part.start, part.stop, part.step) for part in parts), strict=True)
        inputs = (value, *(self.constant(np.array(each, np.int32)) for each in ends))
        return self.op("StridedSlice", inputs, {"Index": INT32})

    def average_pool(self, image: str, kernel: tuple[int, int], *, strides: tuple[int, int]) -> str:
        """Add a mean over windows that lie inside the image."""
        attrs = {"ksize": _spatial(kernel), "strides": _spatial(strides)}
        return self.op("AvgPool", (image,), {**attrs, "padding": _padding("VALID")})

    def transposed_convolution(
        self, image: str, filters: NDArray[np.float32], shape: Sequence[int]
    ) -> str:
        """Add a transposed convolution whose windows do not overlap.

        Args:
            image: `(1, H, W, Cin)`.
            filters: `(kH, kW, Cout, Cin)`; the strides are kH and kW.
            shape: Of the result, `(1, kH * H, kW * W, Cout)`.
        """
        inputs = (self.constant(np.array(shape, np.int32)), self.constant(filters), image)
        attrs = {"strides": _spatial(filters.shape[:2]), "padding": _padding("VALID")}
        return self.op("Conv2DBackpropInput", inputs, attrs)

    def resize_bilinear(self, image: str, size_hw: tuple[int, int], *, align_corners: bool) -> str:
        """Interpolate between pixel centres, or between the corners' own."""
        inputs = (image, self.constant(np.array(size_hw, np.int32)))
        attrs = {
            "align_corners": {"b": align_corners},
            "half_pixel_centers": {"b": not align_corners},
        }
        return self.op("ResizeBilinear", inputs, attrs)

    def upsample_nearest(self, image: str, size_hw: tuple[int, int]) -> str:
        """Repeat rows and columns until the image has this size."""
        inputs = (image, self.constant(np.array(size_hw, np.int32)))
        return self.op("ResizeNearestNeighbor", inputs)

    # Padding depends on what comes after it.
    def _padded(  # noqa: PLR0913
        self,
        image: str,
        pads: Pads,
        kernel: Sequence[int],
        *,
        strides: tuple[int, int],
        size_hw: tuple[int, int],
        mirrored: bool = False,
    ) -> tuple[str, dict[str, str]]:
        """Return the image and TensorFlow's word for its padding, padded by an op if none fits."""
        if not any(map(any, pads)):
            return image, _padding("VALID")
        same = tuple(map(_same_pads, size_hw, kernel, strides))
        if pads == same:
            return image, _padding("SAME")
        border = self.constant(np.array([(0, 0), *pads, (0, 0)], np.int32))
        if mirrored:
            padded = self.op("MirrorPad", (image, border), {"Tpaddings": INT32, "mode": SYMMETRIC})
        else:
            padded = self.op("Pad", (image, border), {"Tpaddings": INT32})
        return padded, _padding("VALID")


def _same_pads(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return what SAME pads before and after. Source: TensorFlow, `tf.nn`, "Notes on padding"."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _spatial(pair: Sequence[int]) -> dict[str, Any]:
    return {"list": {"i": ["1", str(pair[0]), str(pair[1]), "1"]}}


def _padding(word: str) -> dict[str, str]:
    return {"s": base64.b64encode(word.encode()).decode()}
