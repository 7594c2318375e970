"""Each op of a float `.tflite` in words of ONNX, opset 17."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.deliver.targets.onnx_spatial import (
    average_pool,
    conv,
    depth_to_space,
    depthwise_conv,
    fully_connected,
    max_pool,
    mean,
    pad,
    resize_bilinear,
    resize_nearest,
    space_to_depth,
    transpose_conv,
)
from converter.deliver.targets.onnx_writer import IMAGE_AXES, NCHW_AXES, OnnxWriter
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration.ranges import Range
    from converter.graph.values import Graph, Op

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


def to_onnx(graph: Graph, ranges: dict[str, Range] | None = None, *, path: Path) -> Any:  # noqa: ANN401
    """Return the `ModelProto` of a float model.

    Args:
        graph: The float model.
        ranges: Of its tensors by name: with them what convolutions read and their weights are
            rounded to int8, as TensorRT's explicit quantisation wants it; biases stay float.
        path: For messages.

    Raises:
        ModelError: It has an op that is not in `OPS`, or works on other numbers than float32.
        DependencyError: `onnx` is not installed.
    """
    writer = OnnxWriter(graph, ranges, path)
    for op in graph.ops:
        if op.kind not in OPS:
            raise ModelError(
                f"{path}: op {op.kind} has no ONNX form here; "
                f"--tensorrt takes models of {', '.join(sorted(OPS))}"
            )
        _refuse_other_types(op, graph, path)
        OPS[op.kind](writer, op)
    return writer.model()


def _refuse_other_types(op: Op, graph: Graph, path: Path) -> None:
    found = {graph.tensors[name].dtype for name in op.outputs} - {"float32"}
    if found:
        raise ModelError(
            f"{path}: expected a float model, found {op.kind} on {', '.join(found)}; "
            "give the float .tflite that it was made of"
        )


def _activate(writer: OnnxWriter, op: Op, *, source: str, output: str) -> None:
    """Write a source to an output behind the op's fused activation."""
    kind, bounds = ACTIVATIONS[op.activation]
    inputs = [source]
    if bounds:
        inputs += [
            writer.constant(f"{output}/{side}", np.float32(bound))
            for side, bound in zip(("low", "high"), bounds, strict=True)
        ]
    writer.node(kind, inputs, output)


def _activated(emit: Callable[[OnnxWriter, Op, str], None]) -> Callable[[OnnxWriter, Op], None]:
    """Return the writer of an op that may have a fused activation, computed as N C H W."""

    def write(writer: OnnxWriter, op: Op) -> None:
        output = writer.output(op.output, "nchw")
        if op.activation == "NONE":
            emit(writer, op, output)
            return
        before = writer.inner(op, "before_activation")
        emit(writer, op, before)
        _activate(writer, op, source=before, output=output)

    return write


def _unary(kind: str, **attributes: float) -> Callable[[OnnxWriter, Op], None]:
    def write(writer: OnnxWriter, op: Op) -> None:
        source = writer.nchw(op.inputs[0])
        writer.node(kind, [source], writer.output(op.output, "nchw"), **attributes)

    return write


def _clip(low: float, high: float) -> Callable[[OnnxWriter, Op], None]:
    def write(writer: OnnxWriter, op: Op) -> None:
        output = writer.output(op.output, "nchw")
        bounds = [
            writer.constant(f"{output}/{side}", np.float32(bound))
            for side, bound in (("low", low), ("high", high))
        ]
        writer.node("Clip", [writer.nchw(op.inputs[0]), *bounds], output)

    return write


def _binary(kind: str) -> Callable[[OnnxWriter, Op], None]:
    def emit(writer: OnnxWriter, op: Op, output: str) -> None:
        names = [_operand(writer, op, index) for index in op.inputs]
        if kind == "Add":
            names = _residual(writer, op, names)
        writer.node(kind, names, output)

    return _activated(emit)


def _operand(writer: OnnxWriter, op: Op, name: str) -> str:
    """Return an operand's name; a constant of fewer axes gets those of the result."""
    rank = len(writer.shape(op.output))
    if rank != IMAGE_AXES or not writer.graph.is_constant(name):
        return writer.nchw(name)
    value = writer.value(name)
    value = value.reshape((1,) * (rank - value.ndim) + value.shape)
    return writer.constant(writer.inner(op, name), value.transpose(0, 3, 1, 2))


def _residual(writer: OnnxWriter, op: Op, names: list[str]) -> list[str]:
    """Round the operand that no convolution writes, so that the other's can be fused with the sum.

    Where convolutions write both it is the second; TensorRT fuses one of them.
    Source: TensorRT, "Q/DQ Layer-Placement Recommendations", residual connections.
    """
    if any(writer.graph.is_constant(name) for name in op.inputs):
        return names
    made = {other.output for other in writer.graph.ops if other.kind in CONVOLUTIONS}
    if not made.intersection(op.inputs):
        return names
    position = 0 if op.inputs[0] not in made else 1
    names[position] = writer.rounded(op.inputs[position])
    return names


def _concat(writer: OnnxWriter, op: Op, output: str) -> None:
    rank = len(writer.shape(op.output))
    axis = op.options["axis"] % rank
    axis = NCHW_AXES[axis] if rank == IMAGE_AXES else axis
    writer.node("Concat", [writer.nchw(index) for index in op.inputs], output, axis=axis)


def _reshape(writer: OnnxWriter, op: Op) -> None:
    shape = np.array(writer.shape(op.output), np.int64)
    target = writer.constant(writer.inner(op, "shape"), shape)
    output = writer.output(op.output, "plain")
    writer.node("Reshape", [writer.plain(op.inputs[0]), target], output)


def _transpose(writer: OnnxWriter, op: Op) -> None:
    order = [int(axis) for axis in writer.value(op.inputs[1])]
    output = writer.output(op.output, "plain")
    writer.node("Transpose", [writer.plain(op.inputs[0])], output, perm=order)


def _softmax(writer: OnnxWriter, op: Op) -> None:
    axis = 1 if writer.is_image(op.inputs[0]) else -1
    output = writer.output(op.output, "nchw")
    writer.node("Softmax", [writer.nchw(op.inputs[0])], output, axis=axis)


def _hard_swish(writer: OnnxWriter, op: Op) -> None:
    source, gate = writer.nchw(op.inputs[0]), writer.inner(op, "gate")
    writer.node("HardSigmoid", [source], gate, alpha=1 / 6, beta=0.5)
    writer.node("Mul", [source, gate], writer.output(op.output, "nchw"))


def _leaky_relu(writer: OnnxWriter, op: Op) -> None:
    _unary("LeakyRelu", alpha=float(op.options["alpha"]))(writer, op)


def _prelu(writer: OnnxWriter, op: Op) -> None:
    slopes = _operand(writer, op, op.inputs[1])
    output = writer.output(op.output, "nchw")
    writer.node("PRelu", [writer.nchw(op.inputs[0]), slopes], output)


def _split(writer: OnnxWriter, op: Op) -> None:
    axis = int(writer.value(op.inputs[0]).ravel()[0])
    _slices(writer, op, source=op.inputs[1], axis=axis % len(writer.shape(op.inputs[1])))


def _slices(writer: OnnxWriter, op: Op, *, source: str, axis: int) -> None:
    """Write each output as the next part of the source along an axis."""
    begin = 0
    for index in op.outputs:
        end = begin + writer.shape(index)[axis]
        there = NCHW_AXES[axis] if writer.is_image(source) else axis
        output = writer.output(index, "nchw")
        bounds = [
            writer.constant(f"{output}/{name}", np.array([number], np.int64))
            for name, number in (("begin", begin), ("end", end), ("axis", there))
        ]
        writer.node("Slice", [writer.nchw(source), *bounds], output)
        begin = end


def _strided_slice(writer: OnnxWriter, op: Op) -> None:
    options, shape = op.options, writer.shape(op.inputs[0])
    if any(options.get(f"{what}Mask") for what in ("ellipsis", "newAxis", "shrinkAxis")):
        raise ModelError(f"{writer.path}: STRIDED_SLICE that changes axes has no ONNX form")
    begins, ends, steps = (writer.value(index).astype(np.int64) for index in op.inputs[1:4])
    for axis in range(len(shape)):
        begins[axis] = 0 if options.get("beginMask", 0) >> axis & 1 else begins[axis]
        ends[axis] = shape[axis] if options.get("endMask", 0) >> axis & 1 else ends[axis]
    axes = np.arange(len(shape), dtype=np.int64)
    bounds = [
        writer.constant(writer.inner(op, name), value)
        for name, value in (("begin", begins), ("end", ends), ("axes", axes), ("steps", steps))
    ]
    output = writer.output(op.output, "plain")
    writer.node("Slice", [writer.plain(op.inputs[0]), *bounds], output)


ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "RELU": ("Relu", ()),
    "RELU_N1_TO_1": ("Clip", (-1.0, 1.0)),
    "RELU6": ("Clip", (0.0, 6.0)),
    "TANH": ("Tanh", ()),
}
OPS: dict[str, Callable[[OnnxWriter, Op], None]] = {
    "ABS": _unary("Abs"),
    "ADD": _binary("Add"),
    "AVERAGE_POOL_2D": _activated(average_pool),
    "CONCATENATION": _activated(_concat),
    "CONV_2D": _activated(conv),
    "DEPTHWISE_CONV_2D": _activated(depthwise_conv),
    "DEPTH_TO_SPACE": depth_to_space,
    "DIV": _binary("Div"),
    "EXP": _unary("Exp"),
    "EXPAND_DIMS": _reshape,
    "FULLY_CONNECTED": _activated(fully_connected),
    "HARD_SWISH": _hard_swish,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _unary("Sigmoid"),
    "MAXIMUM": _binary("Max"),
    "MAX_POOL_2D": _activated(max_pool),
    "MEAN": mean,
    "MINIMUM": _binary("Min"),
    "MUL": _binary("Mul"),
    "NEG": _unary("Neg"),
    "PAD": pad,
    "PRELU": _prelu,
    "RELU": _unary("Relu"),
    "RELU6": _clip(0, 6),
    "RELU_N1_TO_1": _clip(-1, 1),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPLIT": _split,
    "SQRT": _unary("Sqrt"),
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _binary("Sub"),
    "TANH": _unary("Tanh"),
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _activated(transpose_conv),
}
