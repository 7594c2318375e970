"""ONNX operations on images: convolutions, pools, resizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from converter.graph_builder import INT32
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_file import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]


def _conv(values: Values, node: OnnxNode) -> None:
    weights = values.required(node, 1)  # (Cout, Cin / groups, kH, kW)
    made = values.builder.convolution(
        values.image(node.inputs[0]),
        weights.transpose(2, 3, 1, 0),
        values.constant(node, 2),
        size_hw=values.size_hw(node.inputs[0]),
        strides=_pair(node, "strides"),
        dilations=_pair(node, "dilations"),
        pads=_pads(node),
        groups=node.attrs.get("group", 1),
    )
    values.keep(node, made, image=True)


def _conv_transpose(values: Values, node: OnnxNode) -> None:
    weights = values.required(node, 1)  # (Cin, Cout, kH, kW)
    strides = _pair(node, "strides")
    if (
        any(map(any, _pads(node)))
        or strides != weights.shape[2:]
        or node.attrs.get("group", 1) != 1
    ):
        raise ModelError(
            f"expected ConvTranspose ({node.name}) with a kernel as large as its stride and no "
            f"padding, found kernel {weights.shape[2:]}, strides {strides}"
        )
    _, channels, height, width = values.shape(node.outputs[0])
    made = values.builder.transposed_convolution(
        values.image(node.inputs[0]),
        weights.transpose(2, 3, 1, 0),
        (1, height, width, channels),
    )
    bias = values.constant(node, 2)
    if bias is not None:
        made = values.builder.op("BiasAdd", (made, values.builder.constant(bias)))
    values.keep(node, made, image=True)


def _max_pool(values: Values, node: OnnxNode) -> None:
    made = values.builder.max_pool(
        values.image(node.inputs[0]),
        _pair(node, "kernel_shape"),
        size_hw=values.size_hw(node.inputs[0]),
        strides=_pair(node, "strides"),
        pads=_pads(node),
    )
    values.keep(node, made, image=True)


def _average_pool(values: Values, node: OnnxNode) -> None:
    if any(map(any, _pads(node))):
        raise ModelError(f"expected AveragePool ({node.name}) without padding, found some")
    kernel, strides = _pair(node, "kernel_shape"), _pair(node, "strides")
    made = values.builder.average_pool(values.image(node.inputs[0]), kernel, strides=strides)
    values.keep(node, made, image=True)


def _global_average_pool(values: Values, node: OnnxNode) -> None:
    inputs = (values.image(node.inputs[0]), values.builder.constant(np.array([1, 2], np.int32)))
    made = values.builder.op("Mean", inputs, {"keep_dims": {"b": True}, "Tidx": INT32})
    values.keep(node, made, image=True)


def _resize(values: Values, node: OnnxNode) -> None:
    mode = node.attrs.get("mode", b"nearest")
    where = node.attrs.get("coordinate_transformation_mode", b"half_pixel")
    rounding = node.attrs.get("nearest_mode", b"round_prefer_floor")
    size_hw = values.size_hw(node.outputs[0])
    before = values.size_hw(node.inputs[0])
    image = values.image(node.inputs[0])
    whole = all(new % old == 0 for new, old in zip(size_hw, before, strict=True))
    if mode == b"nearest" and where == b"asymmetric" and rounding == b"floor" and whole:
        made = values.builder.upsample_nearest(image, size_hw)
    elif mode == b"linear" and where in (
        b"half_pixel",
        b"pytorch_half_pixel",
        b"align_corners",
    ):
        made = values.builder.resize_bilinear(
            image, size_hw, align_corners=where == b"align_corners"
        )
    else:
        raise ModelError(
            f"expected Resize ({node.name}) nearest by whole factors or linear, found "
            f"{mode.decode()}, {where.decode()}, {rounding.decode()}, {before} to {size_hw}"
        )
    values.keep(node, made, image=True)


def _batch_normalization(values: Values, node: OnnxNode) -> None:
    scale, shift, mean, variance = (values.required(node, place) for place in range(1, 5))
    factor = scale / np.sqrt(variance + node.attrs.get("epsilon", 1e-5))
    image = values.image(node.inputs[0])
    scaled = values.builder.op("Mul", (image, values.builder.constant(factor)))
    made = values.builder.op("AddV2", (scaled, values.builder.constant(shift - mean * factor)))
    values.keep(node, made, image=True)


def _pair(node: OnnxNode, attribute: str) -> tuple[int, int]:
    found = node.attrs.get(attribute, [1, 1])
    if len(found) != 2:  # noqa: PLR2004
        raise ModelError(f"expected {node.op} ({node.name}) on images, found {attribute} {found}")
    return int(found[0]), int(found[1])


def _pads(node: OnnxNode) -> tuple[tuple[int, int], tuple[int, int]]:
    if node.attrs.get("auto_pad", b"NOTSET") != b"NOTSET" or node.attrs.get("ceil_mode", 0):
        raise ModelError(
            f"expected {node.op} ({node.name}) with explicit padding, found auto_pad or ceil_mode"
        )
    top, left, bottom, right = map(int, node.attrs.get("pads", [0, 0, 0, 0]))
    return (top, bottom), (left, right)


HANDLERS: dict[str, Handler] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_average_pool,
    "MaxPool": _max_pool,
    "Resize": _resize,
}
