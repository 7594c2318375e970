"""ONNX operations that join, cut, reorder or mix along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from converter.importers.onnx_values import TO_LAST
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_file import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]
# Where an axis of channels first stands in channels last.
LAST_AXIS = {0: 0, 1: 3, 2: 1, 3: 2}


def _concat(values: Values, node: OnnxNode) -> None:
    axis = node.attrs["axis"] % len(values.shape(node.outputs[0]))
    if any(value in values.images for value in node.inputs):
        parts = [values.image(value) for value in node.inputs]
        values.keep(node, values.builder.concat(parts, axis=LAST_AXIS[axis]), image=True)
    else:
        parts = [values.plain(value) for value in node.inputs]
        values.keep(node, values.builder.concat(parts, axis=axis), image=False)


def _split(values: Values, node: OnnxNode) -> None:
    value = node.inputs[0]
    axis = node.attrs.get("axis", 0) % len(values.shape(value))
    sizes = [values.shape(name)[axis] for name in node.outputs]
    is_image = value in values.images
    parts = values.builder.split(
        values.made[value], sizes, axis=LAST_AXIS[axis] if is_image else axis
    )
    for output, part in enumerate(parts):
        values.keep(node, part, image=is_image, output=output)


def _slice(values: Values, node: OnnxNode) -> None:
    value = node.inputs[0]
    shape = values.shape(value)
    starts, ends = values.required(node, 1), values.required(node, 2)
    axes, steps = values.constant(node, 3), values.constant(node, 4)
    parts = [slice(0, side, 1) for side in shape]
    for place, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = place if axes is None else int(axes[place]) % len(shape)
        step = 1 if steps is None else int(steps[place])
        if step < 1:
            raise ModelError(f"expected Slice ({node.name}) forwards, found a step of {step}")
        parts[axis] = slice(*slice(start, end, step).indices(shape[axis]))
    if value in values.images:
        parts = [parts[axis] for axis in TO_LAST]
    made = values.builder.strided_slice(values.made[value], parts)
    values.keep(node, made, image=value in values.images)


def _reshape(values: Values, node: OnnxNode) -> None:
    made = values.builder.reshape(values.plain(node.inputs[0]), values.shape(node.outputs[0]))
    values.keep(node, made, image=False)


def _transpose(values: Values, node: OnnxNode) -> None:
    order = tuple(node.attrs["perm"])
    value = node.inputs[0]
    if value in values.images and order == TO_LAST:
        values.keep(node, values.made[value], image=False)
        return
    values.keep(node, values.builder.transpose(values.plain(value), order), image=False)


def _matmul(values: Values, node: OnnxNode) -> None:
    made = values.builder.op("BatchMatMulV2", [values.plain(value) for value in node.inputs])
    values.keep(node, made, image=False)


def _softmax(values: Values, node: OnnxNode) -> None:
    value = node.inputs[0]
    axes = len(values.shape(value))
    axis = node.attrs.get("axis", -1) % axes
    is_image = value in values.images
    if (LAST_AXIS[axis] if is_image else axis) != axes - 1:
        raise ModelError(f"expected Softmax ({node.name}) over channels, found axis {axis}")
    values.pointwise(node, "Softmax")


HANDLERS: dict[str, Handler] = {
    "Concat": _concat,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Transpose": _transpose,
}
