"""ONNX operations on images: convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from converter.graph.building_images import (
    NO_PADS,
    Window,
    average_pool,
    convolution,
    max_pool,
    transposed_convolution,
)
from converter.importers.onnx_values import IMAGE
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]
Pair = tuple[int, int]


class Axis(NamedTuple):
    """Rows or columns, and what slides over them."""

    size: int
    kernel: int
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first to the last cell of the kernel."""
        return (self.kernel - 1) * self.dilation + 1


def _conv(values: Values, node: OnnxNode) -> None:
    filters = values.required(node, 1)  # (Cout, Cin / groups, kH, kW)
    image, groups = values.image(node.inputs[0]), node.attrs.get("group", 1)
    size_hw, channels = values.builder.shape(image)[1:3], values.builder.shape(image)[3]
    if filters.ndim != len(IMAGE) or filters.shape[1] * groups != channels or len(filters) % groups:
        raise ModelError(
            f"expected Conv ({node.name}) to have filters for {channels} channels in {groups} "
            f"groups, found {filters.shape}"
        )
    made = convolution(
        values.builder,
        image,
        filters,
        bias=values.constant(node, 2),
        window=_window(node, filters.shape[2:], size_hw),
        groups=groups,
    )
    values.keep(node, made, IMAGE)


def _conv_transpose(values: Values, node: OnnxNode) -> None:
    filters = values.required(node, 1)  # (Cin, Cout / groups, kH, kW)
    image, groups = values.image(node.inputs[0]), node.attrs.get("group", 1)
    size_hw, channels = values.builder.shape(image)[1:3], values.builder.shape(image)[3]
    if filters.ndim != len(IMAGE) or len(filters) != channels or channels % groups:
        raise ModelError(
            f"expected ConvTranspose ({node.name}) to have filters for {channels} channels, "
            f"found {filters.shape}"
        )
    window, out_hw = _transposed_window(node, filters.shape[2:], size_hw)
    made = transposed_convolution(
        values.builder,
        image,
        _ungrouped(filters, groups),
        bias=values.constant(node, 2),
        window=window,
        size_hw=out_hw,
    )
    values.keep(node, made, IMAGE)


def _ungrouped(filters: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """Return filters `(Cin, Cout, kH, kW)` with zeros between the groups, which TFLite lacks."""
    if groups == 1:
        return filters
    inside, outside = len(filters) // groups, filters.shape[1]
    whole = np.zeros((len(filters), outside * groups, *filters.shape[2:]), np.float32)
    for group in range(groups):
        rows = slice(group * inside, (group + 1) * inside)
        whole[rows, group * outside : (group + 1) * outside] = filters[rows]
    return whole


def _transposed_window(
    node: OnnxNode, kernel: Sequence[int], size_hw: Sequence[int]
) -> tuple[Window, Pair]:
    """Return how a transposed convolution's filters slide, and the size of what comes out."""
    strides, dilations = _pair(node, "strides"), _pair(node, "dilations")
    extra = _pair(node, "output_padding", [0, 0])
    whole = [
        (size - 1) * stride + (k - 1) * dilation + 1 + more
        for size, stride, k, dilation, more in zip(
            size_hw, strides, kernel, dilations, extra, strict=True
        )
    ]
    auto = node.attrs.get("auto_pad", b"NOTSET")
    wanted = node.attrs.get("output_shape")
    if wanted is None and auto in (b"SAME_UPPER", b"SAME_LOWER"):
        wanted = [size * stride for size, stride in zip(size_hw, strides, strict=True)]
    if wanted is None:
        top, left, bottom, right = map(int, node.attrs.get("pads", [0, 0, 0, 0]))
        pads = ((top, bottom), (left, right))
    else:
        totals = [max(full - out, 0) for full, out in zip(whole, wanted[-2:], strict=True)]
        # Source: the specification of ConvTranspose: all but SAME_UPPER cut the larger half first.
        before = [t // 2 if auto == b"SAME_UPPER" else t - t // 2 for t in totals]
        pads = ((before[0], totals[0] - before[0]), (before[1], totals[1] - before[1]))
    rows, columns = (full - sum(cut) for full, cut in zip(whole, pads, strict=True))
    return Window((kernel[0], kernel[1]), strides, dilations, pads), (rows, columns)


def _max_pool(values: Values, node: OnnxNode) -> None:
    if len(node.outputs) > 1 and node.outputs[1]:
        raise ModelError(f"expected MaxPool ({node.name}) to give maxima alone, found places too")
    image = values.image(node.inputs[0])
    window = _window(node, _pair(node, "kernel_shape"), values.builder.shape(image)[1:3])
    values.keep(node, max_pool(values.builder, image, window), IMAGE)


def _average_pool(values: Values, node: OnnxNode) -> None:
    image = values.image(node.inputs[0])
    window = _window(node, _pair(node, "kernel_shape"), values.builder.shape(image)[1:3])
    if max(window.dilations) > 1:
        raise ModelError(f"expected AveragePool ({node.name}) without dilations, found some")
    counted = NO_PADS
    if node.attrs.get("count_include_pad", 0):
        top, left, bottom, right = map(int, node.attrs.get("pads", [0, 0, 0, 0]))
        counted = ((top, bottom), (left, right))
    values.keep(node, average_pool(values.builder, image, window, counted_pads=counted), IMAGE)


def _global_average_pool(values: Values, node: OnnxNode) -> None:
    image = values.image(node.inputs[0])
    values.keep(node, values.builder.reduce("MEAN", image, (1, 2)), IMAGE)


def _global_max_pool(values: Values, node: OnnxNode) -> None:
    image = values.image(node.inputs[0])
    height, width = values.builder.shape(image)[1:3]
    values.keep(node, max_pool(values.builder, image, Window((height, width))), IMAGE)


def _window(node: OnnxNode, kernel: Sequence[int], size_hw: Sequence[int]) -> Window:
    strides, dilations = _pair(node, "strides"), _pair(node, "dilations")
    axes = zip(size_hw, kernel, strides, dilations, strict=True)
    auto = node.attrs.get("auto_pad", b"NOTSET")
    top, left, bottom, right = map(int, node.attrs.get("pads", [0, 0, 0, 0]))
    pads: tuple[Pair, Pair] = ((top, bottom), (left, right))
    rows, columns = (Axis(*axis) for axis in axes)
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        upper = auto == b"SAME_UPPER"
        pads = (_same_pads(rows, upper=upper), _same_pads(columns, upper=upper))
    elif auto == b"VALID":
        pads = NO_PADS
    if node.attrs.get("ceil_mode", 0):
        pads = (_ceiled(rows, pads=pads[0]), _ceiled(columns, pads=pads[1]))
    return Window((kernel[0], kernel[1]), strides, dilations, pads)


def _same_pads(axis: Axis, *, upper: bool) -> Pair:
    total = max((-(-axis.size // axis.stride) - 1) * axis.stride + axis.reach - axis.size, 0)
    before = total // 2 if upper else total - total // 2
    return before, total - before


def _ceiled(axis: Axis, *, pads: Pair) -> Pair:
    """Return the padding with which the last window, which begins inside, is whole."""
    out = -(-(axis.size + sum(pads) - axis.reach) // axis.stride) + 1
    if (out - 1) * axis.stride >= axis.size + pads[0]:
        out -= 1
    return pads[0], (out - 1) * axis.stride + axis.reach - axis.size - pads[0]


def _pair(node: OnnxNode, attribute: str, default: Sequence[int] = (1, 1)) -> Pair:
    found = node.attrs.get(attribute, default)
    if len(found) != 2:  # noqa: PLR2004
        raise ModelError(f"expected {node.op} ({node.name}) on images, found {attribute} {found}")
    return int(found[0]), int(found[1])


HANDLERS: dict[str, Handler] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "MaxPool": _max_pool,
}
