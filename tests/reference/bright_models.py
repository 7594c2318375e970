"""Tiny float models in foreign formats that find bright squares: `bright_net`, as others save it.

Each sees the images of `bright_net`: four by four cells, dark or bright. A detector gives a box for
each bright cell, of the class `square`; the U-Net marks its pixels. Weights by seed, so that int8
has something to round; what decides is arithmetic.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from darknet_files import cfg_of
from reference.bright_net import CELL, CHANNELS, COUNT, GRID, LABELS, NOTHING, OFFSET, SIDE, SLOPE
from tfjs_files import node, write_tfjs

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STRIDES = {"list": {"i": ["1", str(CELL), str(CELL), "1"]}}
ONE = {"list": {"i": ["1", "1", "1", "1"]}}
FLOAT = {"T": {"type": 1}}
# Pixels -1..1 as the graph normalises them, and back to a brightness in 0..1.
HALF = 0.5


def stem(size: int, *, depth: int = 3) -> NDArray[np.float32]:
    """Return `(CHANNELS, size, size, depth)`: the first filter is the mean of what it sees."""
    kernel = np.random.default_rng(3).uniform(0, 2, (CHANNELS, size, size, depth))
    kernel[0] = 1
    return (kernel / (size * size * depth)).astype(np.float32)


def pointwise(biases: list[float], *, slopes: dict[int, float]) -> tuple[NDArray, NDArray]:
    """Return `(outputs, CHANNELS)` weights and biases; `slopes` of the mean, by output."""
    weights = np.random.default_rng(5).normal(0, 0.02, (len(biases), CHANNELS))
    for output, slope in slopes.items():
        weights[output] = 0.1 * weights[output]
        weights[output, 0] = slope
    return weights.astype(np.float32), np.array(biases, np.float32)


def write_tfjs_ssd(folder: Path) -> Path:
    """Write an SSD as the Object Detection API exports it; return the path of `model.json`."""
    kernel = stem(CELL).transpose(1, 2, 3, 0)
    heads = {
        "boxes": pointwise([0.0] * 4, slopes={}),
        "scores": pointwise([NOTHING, OFFSET, NOTHING], slopes={1: SLOPE}),
    }
    low = np.stack(np.meshgrid(*[np.arange(GRID) / GRID] * 2, indexing="ij"), -1).reshape(-1, 2)
    weights = {
        "kernel": kernel * HALF,
        "bias": np.full(CHANNELS, HALF, np.float32) * kernel.sum((0, 1, 2)),
        "mul/x": np.array(2 / 255, np.float32),
        "sub/y": np.array(1, np.float32),
        "size": np.array([SIDE, SIDE], np.int32),
        "corners": np.hstack([low, low + 1 / GRID])[None].astype(np.float32),
        "tenth": np.array(0.1, np.float32),
        "fifth": np.array(0.2, np.float32),
    }
    for name, (values, biases) in heads.items():
        weights[f"{name}/w"], weights[f"{name}/b"] = values.T[None, None].copy(), biases
        weights[f"{name}/s"] = np.array([1, COUNT, len(biases)], np.int32)
    return write_tfjs(folder, _ssd_nodes(weights), weights, shard_bytes=2**20)


def _ssd_nodes(weights):
    decode = "Postprocessor/Decode"
    convolution = {"padding": {"s": "VkFMSUQ="}, "data_format": {"s": "TkhXQw=="}, **FLOAT}
    constants = [
        node(name, "Const", dtype={"type": 1 if value.dtype == np.float32 else 3})
        for name, value in weights.items()
    ]
    heads = []
    for name in ("boxes", "scores"):
        heads += [
            node(f"{name}/c", "Conv2D", "relu", f"{name}/w", strides=ONE, **convolution),
            node(f"{name}/a", "BiasAdd", f"{name}/c", f"{name}/b", **FLOAT),
            node(f"{name}/raw", "Reshape", f"{name}/a", f"{name}/s", Tshape={"type": 3}, **FLOAT),
        ]
    scaled = [("Mul", "", "tenth"), ("Mul", ":1", "tenth"), ("Mul", ":2", "fifth"),
              ("Mul", ":3", "fifth")]  # fmt: skip
    return [
        *constants,
        node("image", "Placeholder", dtype={"type": 1}),
        node("Preprocessor/resize", "ResizeBilinear", "image", "size", **FLOAT),
        node("Preprocessor/mul", "Mul", "mul/x", "Preprocessor/resize", **FLOAT),
        node("Preprocessor/sub", "Sub", "Preprocessor/mul", "sub/y", **FLOAT),
        node("conv", "Conv2D", "Preprocessor/sub", "kernel", strides=STRIDES, **convolution),
        node("sum", "BiasAdd", "conv", "bias", **FLOAT),
        node("relu", "Relu", "sum", **FLOAT),
        *heads,
        node("Postprocessor/convert_scores", "Sigmoid", "scores/raw", **FLOAT),
        node("flat", "Reshape", "boxes/raw"),
        node(f"{decode}/transpose", "Transpose", "flat"),
        node(f"{decode}/unstack", "Unpack", f"{decode}/transpose"),
        node("tile", "Tile", "corners"),
        node(f"{decode}/get_center_coordinates_and_sizes/transpose", "Transpose", "tile"),
        *(
            node(f"scaled{number}", op, f"{decode}/unstack{port}", constant)
            for number, (op, port, constant) in enumerate(scaled)
        ),
    ]


def write_darknet_yolo(folder: Path) -> Path:
    """Write a YOLO of two convolutions and a pool; return the path of its cfg."""
    layers = [
        f"convolutional size=4 stride=4 pad=0 filters={CHANNELS} activation=leaky",
        "maxpool size=2 stride=2",
        f"convolutional size=1 filters={5 + len(LABELS)} activation=linear",
        f"yolo num=2 mask=1 anchors=2,2,{CELL},{CELL} classes={len(LABELS)}",
    ]
    path = folder / "bright.cfg"
    path.write_text(cfg_of(layers, size_wh=(SIDE, SIDE)))
    weights, biases = pointwise([0.0] * 4 + [OFFSET, 6.0, -6.0], slopes={4: SLOPE})
    rows = [np.zeros(CHANNELS), stem(4).transpose(0, 3, 1, 2), biases, weights]
    data = b"".join(row.astype("<f4").tobytes() for row in rows)
    path.with_suffix(".weights").write_bytes(struct.pack("<3i", 0, 2, 5) + bytes(8) + data)
    return path


def write_onnx_yolox(folder: Path) -> Path:
    """Write a detector of two grids without anchors; only the coarse one finds something."""
    from reference.onnx_models import SIDE as INPUT_SIDE  # noqa: PLC0415 - needs the extra onnx
    from reference.onnx_models import OnnxWriter  # noqa: PLC0415

    net, rows = OnnxWriter(), []
    fine_px, coarse_cells = INPUT_SIDE // (2 * GRID), 2
    value = _onnx_conv(net, "image", stem(fine_px), np.zeros(CHANNELS), stride=fine_px)
    for side, objectness in ((2 * GRID, {}), (GRID, {0: SLOPE})):
        if side == GRID:
            kernel = stem(coarse_cells, depth=CHANNELS)
            # Again the mean of the first channel.
            kernel[0] = 0
            kernel[0, :, :, 0] = 1 / coarse_cells**2
            value = _onnx_conv(net, value, kernel, np.zeros(CHANNELS), stride=coarse_cells)
        value = net.op("Relu", value)
        branches = [
            pointwise([0.5, 0.5, 0, 0], slopes={}),
            pointwise([OFFSET if objectness else NOTHING], slopes=objectness),
            pointwise([6.0, -6.0], slopes={}),
        ]
        heads = [_onnx_conv(net, value, w[:, None, None], b, stride=1) for w, b in branches]
        heads[1:] = [net.op("Sigmoid", head) for head in heads[1:]]
        joined = net.op("Concat", *heads, axis=1)
        rows.append(net.reshape(joined, [1, 5 + len(LABELS), side**2]))
    output = net.op("Transpose", net.op("Concat", *rows, axis=2), perm=[0, 2, 1])
    path = folder / "bright.onnx"
    path.write_bytes(net.model([output]).SerializeToString())
    return path


def _onnx_conv(net, value, kernel, bias, *, stride):
    size = kernel.shape[1]
    return net.op(
        "Conv", value, net.constant(kernel.transpose(0, 3, 1, 2)), net.constant(bias),
        kernel_shape=[size, size], strides=[stride, stride], pads=[0] * 4,
    )  # fmt: skip
