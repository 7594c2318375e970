"""Each op of a float `.tflite` in words of ONNX, opset 17."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.deliver.targets.onnx_writer import IMAGE_AXES, TO_NCHW, TO_NHWC, OnnxWriter
from converter.graph.building_images import Window
from converter.graph.fusing import WEIGHTED
from converter.graph.values import ABSENT
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.graph.values import Graph, Op

    Write = Callable[[OnnxWriter, Op], None]
    Found = Callable[[OnnxWriter, Op], dict[str, Any]]


def to_onnx(
    graph: Graph, ranges: dict[str, Range] | None = None, *, path: Path, half: bool = False
) -> Any:  # noqa: ANN401
    """Return the `ModelProto` of a float model.

    Args:
        graph: The float model.
        ranges: Of its tensors by name: with them what convolutions read and their weights are
            rounded to int8, as TensorRT's explicit quantisation wants it; biases stay float.
        path: For messages.
        half: Compute in float16, without ranges.

    Raises:
        ModelError: It has an op that is not in `OPS`, or works on other numbers than float32.
        DependencyError: `onnx` is not installed.
    """
    writer = OnnxWriter(graph, ranges, path, half=half)
    for op in graph.ops:
        if op.kind not in OPS:
            raise ModelError(
                f"{path}: op {op.kind} has no ONNX form here; "
                f"--tensorrt takes models of {', '.join(sorted(OPS))}"
            )
        if found := {graph.tensors[name].dtype for name in op.outputs} - {"float32"}:
            raise ModelError(
                f"{path}: expected a float model, found {op.kind} on {', '.join(found)}; "
                "give the float .tflite that it was made of"
            )
        OPS[op.kind](writer, op)
    return writer.model()


def _unary(kind: str, *constants: float, attributes: Found = lambda _writer, _op: {}) -> Write:
    """Return what writes an op of one input."""

    def write(writer: OnnxWriter, op: Op) -> None:
        inputs = [writer.nchw(op.inputs[0]), *map(np.float32, constants)]
        writer.write(op, kind, inputs, attributes=attributes(writer, op))

    return write


def _binary(kind: str) -> Write:
    def write(writer: OnnxWriter, op: Op) -> None:
        writer.write(op, kind, [_operand(writer, op, name) for name in op.inputs])

    return write


def _add(writer: OnnxWriter, op: Op) -> None:
    """Write ADD; of a residual sum that operand is rounded which no convolution writes.

    So the other's convolution can be fused with the sum. Where convolutions write both it is the
    second; TensorRT fuses one of them.
    Source: TensorRT, "Q/DQ Layer-Placement Recommendations", residual connections.
    """
    names = [_operand(writer, op, name) for name in op.inputs]
    producers = [writer.graph.producers.get(name) for name in op.inputs]
    by_convolution = [made is not None and made.kind in WEIGHTED for made in producers]
    if any(by_convolution) and not any(map(writer.graph.is_constant, op.inputs)):
        position = int(by_convolution[0])
        names[position] = writer.rounded(op.inputs[position])
    writer.write(op, "Add", names)


def _operand(writer: OnnxWriter, op: Op, name: str) -> str:
    """Return an operand's name; a constant of fewer axes gets those of the result."""
    if not writer.is_image(op.output) or not writer.graph.is_constant(name):
        return writer.nchw(name)
    value = writer.value(name)
    value = value.reshape((1,) * (IMAGE_AXES - value.ndim) + value.shape)
    return writer.constant(f"{op.output}/{name}", value.transpose(TO_NCHW))


def _conv(writer: OnnxWriter, op: Op) -> None:
    """Write a convolution; weights O H W I become O I H W, of a depthwise one 1 H W O O 1 H W."""
    values, channels = writer.value(op.inputs[1]), writer.graph.shape(op.inputs[0])[3]
    is_depthwise = op.kind == "DEPTHWISE_CONV_2D"
    kernel = values.shape[1:3]
    turned = values.transpose((3, 0, 1, 2) if is_depthwise else TO_NCHW)
    weights = writer.weights(op, turned, axis=0)
    attributes = {
        "kernel_shape": kernel,
        "strides": op.strides,
        "dilations": op.dilations,
        "group": channels if is_depthwise else channels // values.shape[3],
        "pads": _pads(writer, op, Window(kernel, op.strides, op.dilations)),
    }
    inputs = [writer.rounded(op.inputs[0]), weights, *_bias(writer, op)]
    writer.write(op, "Conv", inputs, attributes=attributes)


def _bias(writer: OnnxWriter, op: Op) -> list[NDArray[Any]]:
    _, position, _ = WEIGHTED[op.kind]
    is_given = len(op.inputs) > position and op.inputs[position] != ABSENT
    return [writer.value(op.inputs[position])] if is_given else []


def _pads(writer: OnnxWriter, op: Op, window: Window) -> list[int]:
    """Return what stands before and behind height and width: y0, x0, y1, x1."""
    if op.options["padding"] != "SAME":
        return [0, 0, 0, 0]
    rows, columns = window.same(writer.graph.shape(op.inputs[0])[1:3]).pads
    return [rows[0], columns[0], rows[1], columns[1]]


def _halved(totals: list[int]) -> list[int]:
    return [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]


def _transpose_conv(writer: OnnxWriter, op: Op) -> None:
    """Write TRANSPOSE_CONV; weights O H W I become I O H W."""
    values = writer.value(op.inputs[1])
    kernel = values.shape[1:3]
    sides, made = (writer.graph.shape(name)[1:3] for name in (op.inputs[2], op.output))
    excess = [
        (side - 1) * stride + length - wanted
        for side, stride, length, wanted in zip(sides, op.strides, kernel, made, strict=True)
    ]
    weights = writer.weights(op, values.transpose(3, 0, 1, 2), axis=1)
    attributes = {
        "kernel_shape": kernel,
        "strides": op.strides,
        "pads": _halved([max(total, 0) for total in excess]),
        "output_padding": [max(-total, 0) for total in excess],
    }
    inputs = [writer.rounded(op.inputs[2]), weights, *_bias(writer, op)]
    writer.write(op, "ConvTranspose", inputs, attributes=attributes)


def _fully_connected(writer: OnnxWriter, op: Op) -> None:
    """Write FULLY_CONNECTED as a Gemm of (rows, inputs) with weights (outputs, inputs)."""
    if writer.is_image(op.output):
        raise ModelError(f"{writer.path}: FULLY_CONNECTED to an image has no ONNX form here")
    values, name, source = writer.value(op.inputs[1]), op.output, writer.rounded(op.inputs[0])
    if writer.is_image(op.inputs[0]):
        # N C H W of the rounded values, and the weights count in N H W C.
        source = writer.node("Transpose", [source], f"{name}/nhwc", perm=TO_NHWC)
    flat = writer.node("Reshape", [source, _whole(-1, values.shape[1])], f"{name}/flat")
    inputs = [flat, writer.weights(op, values, axis=0), *_bias(writer, op)]
    product = writer.node("Gemm", inputs, f"{name}/product", transB=1)
    writer.write(op, "Reshape", [product, _whole(*writer.graph.shape(name))])


def _whole(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def _mean(writer: OnnxWriter, op: Op) -> None:
    source, keep = op.inputs[0], bool(op.options.get("keepDims"))
    axes, layout = writer.value(op.inputs[1]).ravel().tolist(), "nchw" if keep else "plain"
    name = writer.nchw(source) if keep else writer.plain(source)
    attributes = {
        "axes": [writer.axis(source, axis) for axis in axes] if keep else axes,
        "keepdims": int(keep),
    }
    writer.write(op, "ReduceMean", [name], layout=layout, attributes=attributes)


def _pad(writer: OnnxWriter, op: Op) -> None:
    paddings = writer.value(op.inputs[1]).astype(np.int64)  # (axes, 2)
    if writer.is_image(op.inputs[0]):
        paddings = paddings[list(TO_NCHW)]
    writer.write(op, "Pad", [writer.nchw(op.inputs[0]), paddings.T.ravel()])


def _resize(writer: OnnxWriter, op: Op) -> None:
    """Write a resize; the nearest rounds where corners align or pixels have centres."""
    batch, height, width, depth = writer.graph.shape(op.output)
    is_linear = op.kind == "RESIZE_BILINEAR"
    coordinates = "half_pixel" if op.options.get("halfPixelCenters") else "asymmetric"
    coordinates = "align_corners" if op.options.get("alignCorners") else coordinates
    attributes = {
        "mode": "linear" if is_linear else "nearest",
        "nearest_mode": "floor"
        if is_linear or coordinates == "asymmetric"
        else "round_prefer_ceil",
        "coordinate_transformation_mode": coordinates,
    }
    inputs = [writer.nchw(op.inputs[0]), "", "", _whole(batch, depth, height, width)]
    writer.write(op, "Resize", inputs, attributes=attributes)


def _concat(writer: OnnxWriter, op: Op) -> None:
    axis = {"axis": writer.axis(op.output, op.options["axis"])}
    writer.write(op, "Concat", [writer.nchw(name) for name in op.inputs], attributes=axis)


def _reshape(writer: OnnxWriter, op: Op) -> None:
    inputs = [writer.plain(op.inputs[0]), _whole(*writer.graph.shape(op.output))]
    writer.write(op, "Reshape", inputs, layout="plain")


def _transpose(writer: OnnxWriter, op: Op) -> None:
    order = {"perm": writer.value(op.inputs[1]).tolist()}
    writer.write(op, "Transpose", [writer.plain(op.inputs[0])], layout="plain", attributes=order)


def _hard_swish(writer: OnnxWriter, op: Op) -> None:
    source = writer.nchw(op.inputs[0])
    gate = writer.node("HardSigmoid", [source], f"{op.output}/gate", alpha=1 / 6, beta=0.5)
    writer.write(op, "Mul", [source, gate])


def _split(writer: OnnxWriter, op: Op) -> None:
    source, begin = op.inputs[1], 0
    axis = int(writer.value(op.inputs[0]).ravel()[0])
    for name in op.outputs:
        end = begin + writer.graph.shape(name)[axis]
        bounds = map(_whole, (begin, end, writer.axis(source, axis)))
        writer.node("Slice", [writer.nchw(source), *bounds], writer.output(name, "nchw"))
        begin = end


def _strided_slice(writer: OnnxWriter, op: Op) -> None:
    options, shape = op.options, writer.graph.shape(op.inputs[0])
    if any(options.get(f"{what}Mask") for what in ("ellipsis", "newAxis", "shrinkAxis")):
        raise ModelError(f"{writer.path}: STRIDED_SLICE that changes axes has no ONNX form")
    begins, ends, steps = (writer.value(name).astype(np.int64) for name in op.inputs[1:4])
    for axis, side in enumerate(shape):
        begins[axis] = 0 if options.get("beginMask", 0) >> axis & 1 else begins[axis]
        ends[axis] = side if options.get("endMask", 0) >> axis & 1 else ends[axis]
    bounds = (begins, ends, _whole(*range(len(shape))), steps)
    writer.write(op, "Slice", [writer.plain(op.inputs[0]), *bounds], layout="plain")


def _pooling(writer: OnnxWriter, op: Op) -> dict[str, Any]:
    """Return the attributes of a pool; of an average the padding does not count."""
    kernel = op.options["filterHeight"], op.options["filterWidth"]
    pads = _pads(writer, op, Window(kernel, op.strides))
    return {"kernel_shape": kernel, "strides": op.strides, "pads": pads}


def _block_size(_writer: OnnxWriter, op: Op) -> dict[str, Any]:
    return {"blocksize": op.options["blockSize"]}  # ONNX's default order is TensorFlow's


# Those that ONNX has under another name.
UNARY = {"ABS": "Abs", "EXP": "Exp", "LOGISTIC": "Sigmoid", "NEG": "Neg", "RELU": "Relu",
         "SQRT": "Sqrt", "TANH": "Tanh"}  # fmt: skip
BINARY = {"DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "MUL": "Mul", "PRELU": "PRelu",
          "SUB": "Sub"}  # fmt: skip
OPS: dict[str, Write] = {
    **{kind: _unary(name) for kind, name in UNARY.items()},
    **{kind: _binary(name) for kind, name in BINARY.items()},
    "ADD": _add,
    "AVERAGE_POOL_2D": _unary("AveragePool", attributes=_pooling),
    "CONCATENATION": _concat,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "DEPTH_TO_SPACE": _unary("DepthToSpace", attributes=_block_size),
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _fully_connected,
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _unary(
        "LeakyRelu", attributes=lambda _, op: {"alpha": float(op.options["alpha"])}
    ),
    "MAX_POOL_2D": _unary("MaxPool", attributes=_pooling),
    "MEAN": _mean,
    "PAD": _pad,
    "RELU6": _unary("Clip", 0, 6),
    "RELU_N1_TO_1": _unary("Clip", -1, 1),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SOFTMAX": _unary("Softmax", attributes=lambda w, op: {"axis": w.axis(op.inputs[0], -1)}),
    "SPACE_TO_DEPTH": _unary("SpaceToDepth", attributes=_block_size),
    "SPLIT": _split,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}
