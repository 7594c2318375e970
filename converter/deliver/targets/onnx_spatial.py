"""Convolutions, pools, paddings and resizes of a `.tflite` in words of ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.deliver.targets.onnx_writer import NCHW_AXES
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.deliver.targets.onnx_writer import OnnxWriter
    from converter.graph.values import Op


def conv(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write CONV_2D; weights O H W I become O I H W."""
    values = writer.value(op.inputs[1])
    weights = writer.weights(writer.inner(op, "weights"), values.transpose(0, 3, 1, 2), axis=0)
    groups = writer.shape(op.inputs[0])[3] // values.shape[3]
    _convolve(writer, op, output, weights=weights, groups=groups)


def depthwise_conv(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write DEPTHWISE_CONV_2D; weights 1 H W O become O 1 H W."""
    values = writer.value(op.inputs[1]).transpose(3, 0, 1, 2)
    weights = writer.weights(writer.inner(op, "weights"), values, axis=0)
    _convolve(writer, op, output, weights=weights, groups=writer.shape(op.inputs[0])[3])


def _convolve(writer: OnnxWriter, op: Op, output: str, *, weights: str, groups: int) -> None:
    kernel = _kernel(writer, op)
    reach = [(side - 1) * step + 1 for side, step in zip(kernel, op.dilations, strict=True)]
    inputs = [writer.rounded(op.inputs[0]), weights, *_bias(writer, op, 2)]
    writer.node(
        "Conv",
        inputs,
        output,
        kernel_shape=kernel,
        strides=op.strides,
        dilations=op.dilations,
        group=groups,
        pads=_pads(writer, op, reach=reach),
    )


def _kernel(writer: OnnxWriter, op: Op) -> tuple[int, int]:
    _, height, width, _ = writer.shape(op.inputs[1])
    return height, width


def _bias(writer: OnnxWriter, op: Op, position: int) -> list[str]:
    if not writer.has(op, position):
        return []
    return [writer.constant(writer.inner(op, "bias"), writer.value(op.inputs[position]))]


def _pads(writer: OnnxWriter, op: Op, *, reach: Sequence[int]) -> list[int]:
    """Return what stands before and behind height and width: y0, x0, y1, x1."""
    if op.options["padding"] != "SAME":
        return [0, 0, 0, 0]
    sides = writer.shape(op.inputs[0])[1:3]
    totals = [
        max((-(-side // stride) - 1) * stride + length - side, 0)
        for side, stride, length in zip(sides, op.strides, reach, strict=True)
    ]
    return _halved(totals)


def _halved(totals: list[int]) -> list[int]:
    return [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]


def transpose_conv(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write TRANSPOSE_CONV; weights O H W I become I O H W."""
    kernel = _kernel(writer, op)
    sides, made = writer.shape(op.inputs[2])[1:3], writer.shape(op.output)[1:3]
    excess = [
        (side - 1) * stride + length - wanted
        for side, stride, length, wanted in zip(sides, op.strides, kernel, made, strict=True)
    ]
    values = writer.value(op.inputs[1]).transpose(3, 0, 1, 2)
    weights = writer.weights(writer.inner(op, "weights"), values, axis=1)
    writer.node(
        "ConvTranspose",
        [writer.rounded(op.inputs[2]), weights, *_bias(writer, op, 3)],
        output,
        kernel_shape=kernel,
        strides=op.strides,
        pads=_halved([max(total, 0) for total in excess]),
        output_padding=[max(-total, 0) for total in excess],
    )


def fully_connected(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write FULLY_CONNECTED as a Gemm of (rows, inputs) with weights (outputs, inputs)."""
    values = writer.value(op.inputs[1])
    rows = writer.constant(writer.inner(op, "rows"), np.array([-1, values.shape[1]], np.int64))
    weights = writer.weights(writer.inner(op, "weights"), values, axis=0)
    flat, product = writer.inner(op, "flat"), writer.inner(op, "product")
    source = writer.rounded(op.inputs[0])
    if writer.is_image(op.inputs[0]):
        # N C H W of the rounded values, and the weights count in N H W C.
        source = writer.node("Transpose", [source], writer.inner(op, "nhwc"), perm=(0, 2, 3, 1))
    writer.node("Reshape", [source, rows], flat)
    writer.node("Gemm", [flat, weights, *_bias(writer, op, 2)], product, transB=1)
    shape = writer.shape(op.output)
    if writer.is_image(op.output):
        raise ModelError(f"{writer.path}: FULLY_CONNECTED to an image has no ONNX form here")
    target = writer.constant(writer.inner(op, "shape"), np.array(shape, np.int64))
    writer.node("Reshape", [product, target], output)


def max_pool(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write MAX_POOL_2D."""
    _pool(writer, op, kind="MaxPool", output=output)


def average_pool(writer: OnnxWriter, op: Op, output: str) -> None:
    """Write AVERAGE_POOL_2D; the padding does not count."""
    _pool(writer, op, kind="AveragePool", output=output)


def _pool(writer: OnnxWriter, op: Op, *, kind: str, output: str) -> None:
    kernel = (op.options["filterHeight"], op.options["filterWidth"])
    pads = _pads(writer, op, reach=kernel)
    source = writer.nchw(op.inputs[0])
    writer.node(kind, [source], output, kernel_shape=kernel, strides=op.strides, pads=pads)


def mean(writer: OnnxWriter, op: Op) -> None:
    """Write MEAN."""
    rank = len(writer.shape(op.inputs[0]))
    axes = sorted(int(axis) % rank for axis in writer.value(op.inputs[1]).ravel())
    keep = bool(op.options.get("keepDims"))
    if writer.is_image(op.inputs[0]) and keep:
        there, source, layout = (
            [NCHW_AXES[axis] for axis in axes],
            writer.nchw(op.inputs[0]),
            "nchw",
        )
    else:
        there, source, layout = axes, writer.plain(op.inputs[0]), "plain"
    output = writer.output(op.output, layout)
    writer.node("ReduceMean", [source], output, axes=sorted(there), keepdims=int(keep))


def pad(writer: OnnxWriter, op: Op) -> None:
    """Write PAD, with zeros."""
    paddings = writer.value(op.inputs[1]).astype(np.int64)
    if writer.is_image(op.inputs[0]):
        paddings = paddings[[0, 3, 1, 2]]
    amounts = writer.constant(writer.inner(op, "paddings"), paddings.T.ravel())
    writer.node("Pad", [writer.nchw(op.inputs[0]), amounts], writer.output(op.output, "nchw"))


def resize_bilinear(writer: OnnxWriter, op: Op) -> None:
    """Write RESIZE_BILINEAR."""
    _resize(writer, op, mode="linear", nearest_mode="floor")


def resize_nearest(writer: OnnxWriter, op: Op) -> None:
    """Write RESIZE_NEAREST_NEIGHBOR: rounds where corners align or pixels have centres."""
    is_plain = not (op.options.get("alignCorners") or op.options.get("halfPixelCenters"))
    _resize(writer, op, mode="nearest", nearest_mode="floor" if is_plain else "round_prefer_ceil")


def _resize(writer: OnnxWriter, op: Op, *, mode: str, nearest_mode: str) -> None:
    batch, height, width, depth = writer.shape(op.output)
    coordinates = "asymmetric"
    if op.options.get("alignCorners"):
        coordinates = "align_corners"
    elif op.options.get("halfPixelCenters"):
        coordinates = "half_pixel"
    shape = np.array([batch, depth, height, width], np.int64)
    sizes = writer.constant(writer.inner(op, "sizes"), shape)
    writer.node(
        "Resize",
        [writer.nchw(op.inputs[0]), "", "", sizes],
        writer.output(op.output, "nchw"),
        mode=mode,
        nearest_mode=nearest_mode,
        coordinate_transformation_mode=coordinates,
    )


def depth_to_space(writer: OnnxWriter, op: Op) -> None:
    """Write DEPTH_TO_SPACE; ONNX's default order is TensorFlow's."""
    _blocks(writer, op, "DepthToSpace")


def space_to_depth(writer: OnnxWriter, op: Op) -> None:
    """Write SPACE_TO_DEPTH."""
    _blocks(writer, op, "SpaceToDepth")


def _blocks(writer: OnnxWriter, op: Op, kind: str) -> None:
    output = writer.output(op.output, "nchw")
    writer.node(kind, [writer.nchw(op.inputs[0])], output, blocksize=op.options["blockSize"])
