"""ONNX operations on images: convolutions, pools, and Resize.

Which pixels a resized row is made of is worked out as the specification says, and compared with
what each mode of TFLite's op takes: names of modes that agree on one size differ on another.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.building_images import (
    NO_PADS,
    Window,
    average_pool,
    convolution,
    max_pool,
    transposed_convolution,
)
from converter.importers.onnx.values import IMAGE, Made
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.building import Builder
    from converter.importers.onnx.values import Call, Handler

    Coordinates = NDArray[np.float64]
    Pair = tuple[int, int]

NEAREST, LINEAR = "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"
KINDS = {b"nearest": NEAREST, b"linear": LINEAR, b"bilinear": LINEAR}
# Of both, the flags of each mode.
MODES: tuple[dict[str, bool], ...] = ({}, {"half_pixel": True}, {"align_corners": True})
SAME_PIXEL = 1e-4  # of a pixel: float32 coordinates of images up to 4096 px
RESIZE_BY_PIXEL_SINCE = 11


def _conv(call: Call) -> Made:
    image, filters, groups = call.image, call.required(1), call.attr("group", 1)
    channels = call.builder.shape(image)[3]
    # The filters' axes are Cout, Cin / groups, rows, columns.
    if filters.ndim != len(IMAGE) or filters.shape[1] * groups != channels or len(filters) % groups:
        raise ModelError(
            f"expected {call.node} to have filters for {channels} channels in {groups} groups, "
            f"found {filters.shape}"
        )
    window, bias = _window(call, filters.shape[2:], image=image), call.constant(2)
    return call.channels_last(
        convolution(call.builder, image, filters, bias=bias, window=window, groups=groups)
    )


def _conv_transpose(call: Call) -> Made:
    image, filters, groups = call.image, call.required(1), call.attr("group", 1)
    size_hw, channels = call.builder.shape(image)[1:3], call.builder.shape(image)[3]
    # The filters' axes are Cin, Cout / groups, rows, columns.
    if filters.ndim != len(IMAGE) or len(filters) != channels or channels % groups:
        raise ModelError(
            f"expected {call.node} to have filters for {channels} channels, found {filters.shape}"
        )
    _, _, rows, columns = call.out_shape
    window = Window(filters.shape[2:], _pair(call, "strides"), _pair(call, "dilations"))
    top, left = _cut_before(call, window, size_hw, out_hw=(rows, columns))
    made = transposed_convolution(
        call.builder,
        image,
        _ungrouped(filters, groups),
        bias=call.constant(2),
        window=replace(window, pads=((top, 0), (left, 0))),
        size_hw=(rows, columns),
    )
    return call.channels_last(made)


def _ungrouped(filters: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """Return filters `(Cin, Cout, kH, kW)` with zeros between the groups, which TFLite lacks."""
    if groups == 1:
        return filters
    inside, outside, *kernel = len(filters) // groups, *filters.shape[1:]
    whole = np.zeros((groups, inside, groups, outside, *kernel), np.float32)
    own = np.arange(groups)
    whole[own, :, own] = filters.reshape(groups, inside, outside, *kernel)
    return whole.reshape(groups * inside, groups * outside, *kernel)


def _cut_before(
    call: Call, window: Window, size_hw: Sequence[int], *, out_hw: Sequence[int]
) -> Sequence[int]:
    """Return how many rows and columns are cut off before a transposed convolution's result."""
    auto = call.attr("auto_pad", b"NOTSET")
    if auto == b"NOTSET" and not call.attr("output_shape"):
        return [before for before, _ in _pads(call)]
    extra = _pair(call, "output_padding", (0, 0))
    totals = [
        max((size - 1) * stride + reach + more - out, 0)
        for size, stride, reach, more, out in zip(
            size_hw, window.strides, window.reach, extra, out_hw, strict=True
        )
    ]
    # Source: the specification of ConvTranspose: all but SAME_UPPER cut the larger half first.
    return [cut // 2 if auto == b"SAME_UPPER" else cut - cut // 2 for cut in totals]


def _max_pool(call: Call) -> Made:
    if any(call.node.outputs[1:]):
        raise ModelError(f"expected {call.node} to give maxima alone, found places too")
    image = call.image
    _, height, width, _ = call.builder.shape(image)
    if call.node.op == "GlobalMaxPool":
        window = Window((height, width))
    else:
        window = _window(call, _pair(call, "kernel_shape"), image=image)
    return call.channels_last(max_pool(call.builder, image, window))


def _average_pool(call: Call) -> Made:
    image = call.image
    window = _window(call, _pair(call, "kernel_shape"), image=image)
    if max(window.dilations) > 1:
        raise ModelError(f"expected {call.node} without dilations, found some")
    counted = _pads(call) if call.attr("count_include_pad", 0) else NO_PADS
    return call.channels_last(average_pool(call.builder, image, window, counted_pads=counted))


def _window(call: Call, kernel: Sequence[int], *, image: str) -> Window:
    size_hw, auto = call.builder.shape(image)[1:3], call.attr("auto_pad", b"NOTSET")
    pads = NO_PADS if auto == b"VALID" else _pads(call)
    window = Window((kernel[0], kernel[1]), _pair(call, "strides"), _pair(call, "dilations"), pads)
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        window = window.same(size_hw, more_behind=auto == b"SAME_UPPER")
    return window.fitted(size_hw, ceil=bool(call.attr("ceil_mode", 0)))


def _pads(call: Call) -> tuple[Pair, Pair]:
    top, left, bottom, right = map(int, call.attr("pads", [0] * 4))
    return (top, bottom), (left, right)


def _pair(call: Call, attribute: str, default: Sequence[int] = (1, 1)) -> Pair:
    found = call.attr(attribute, default)
    if len(found) != 2:  # noqa: PLR2004
        raise ModelError(f"expected {call.node} on images, found {attribute} {found}")
    return int(found[0]), int(found[1])


def _resize(call: Call) -> Made:
    image, builder = call.image, call.builder
    old = call.node.op == "Upsample" or call.node.opset < RESIZE_BY_PIXEL_SINCE
    mode = call.attr("mode", b"nearest")
    if mode not in KINDS or call.attr("antialias", 0):
        raise ModelError(
            f"expected {call.node} nearest or linear without antialias, found {mode.decode()}"
        )
    size_hw, out_hw = builder.shape(image)[1:3], call.out_shape[2:]
    scales = call.setting("scales", 1 if old else 2) or [*np.divide(out_hw, size_hw)]
    rows = []
    for size, out, scale in zip(size_hw, out_hw, scales[-2:], strict=True):
        row = _coordinates(call, size, out, scale=scale, old=old)
        row = _rounded(call, row) if mode == b"nearest" else row
        rows.append(np.clip(row, 0, size - 1))
    for flags in MODES:
        taken = [_taken(size, len(row), kind=KINDS[mode], **flags)
                 for size, row in zip(size_hw, rows, strict=True)]  # fmt: skip
        if all(np.abs(a - b).max() < SAME_PIXEL for a, b in zip(taken, rows, strict=True)):
            return call.channels_last(builder.resize(KINDS[mode], image, out_hw, **flags))
    for axis, row in enumerate(rows, start=1):
        image = _mixed(builder, image, row, axis=axis)
    return call.channels_last(image)


def _coordinates(call: Call, size: int, out: int, *, scale: float, old: bool) -> Coordinates:
    """Return where in the image each output row lies, 0 the centre of the first row.

    The file says that `size` rows become `scale` times as many, and `old` opsets know one rule.
    Source: the specification of Resize, `coordinate_transformation_mode`.
    """
    where = call.attr("coordinate_transformation_mode", b"asymmetric" if old else b"half_pixel")
    x = np.arange(out, dtype=np.float64)
    centre = (x + 0.5) / scale - 0.5
    known = {
        b"asymmetric": x / scale,
        b"align_corners": x * ((size - 1) / max(out - 1, 1)),
        b"half_pixel": centre,
        b"pytorch_half_pixel": centre if out > 1 else x * 0,
        b"half_pixel_symmetric": centre + size / 2 * (1 - out / (scale * size)),
    }
    if where not in known:
        raise ModelError(f"expected {call.node} by a rule of {list(known)}, found {where!r}")
    return known[where]


def _rounded(call: Call, row: Coordinates) -> Coordinates:
    default = b"floor" if call.node.op == "Upsample" else b"round_prefer_floor"
    row = np.round(row, 6)  # what float32 makes of a whole number is that number
    return {
        b"floor": np.floor(row),
        b"ceil": np.ceil(row),
        b"round_prefer_floor": np.ceil(row - 0.5),
        b"round_prefer_ceil": np.floor(row + 0.5),
    }[call.attr("nearest_mode", default)]


def _taken(
    size: int, out: int, *, kind: str, half_pixel: bool = False, align_corners: bool = False
) -> Coordinates:
    """Return where TFLite samples.

    Source: its `resize_nearest_neighbor.h`, in float32, and `resize_bilinear.h`.
    """
    scale = (size - 1) / (out - 1) if align_corners and out > 1 else size / out
    x = np.arange(out) + (0.5 if half_pixel else 0)
    if kind == NEAREST:
        row = x.astype(np.float32) * np.float32(scale)
        x = np.floor(row + 0.5 if align_corners else row).astype(np.float64)
    else:
        x = x * scale - (0.5 if half_pixel else 0)
    return np.clip(x, 0, size - 1)


def _mixed(builder: Builder, image: str, row: Coordinates, *, axis: int) -> str:
    """Pick rows, or mix two for each."""
    below = np.floor(row).astype(int)
    if np.array_equal(below, row):
        return builder.gather(image, below.tolist(), axis)
    above = np.minimum(below + 1, builder.shape(image)[axis] - 1)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    share = (row - below).reshape(shape)
    parts = [
        builder.binary("MUL", builder.gather(image, places.tolist(), axis), builder.constant(part))
        for places, part in ((below, 1 - share), (above, share))
    ]
    return builder.binary("ADD", *parts)


HANDLERS: dict[str, Handler] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": lambda call: call.channels_last(
        call.builder.reduce("MEAN", call.image, (1, 2))
    ),
    "GlobalMaxPool": _max_pool,
    "MaxPool": _max_pool,
    "Resize": _resize,
    "Upsample": _resize,
}
