"""ONNX operations that join, cut, repeat or reorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from converter.importers.onnx_pointwise import common_order
from converter.importers.onnx_values import IMAGE, Made
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Values

Handler = Callable[["Values", "OnnxNode"], None]
# An edge is repeated by mirroring it cell by cell.
MOST_REPEATED = 8


def _concat(values: Values, node: OnnxNode) -> None:
    order = common_order(values, node)
    axis = node.attrs["axis"] % len(order)
    parts = [_whole(values, value, order) for value in node.inputs]
    values.keep(node, values.builder.concat(parts, order.index(axis)), order)


def _whole(values: Values, value: str, order: tuple[int, ...]) -> str:
    if value in values.constants:
        return values.builder.constant(values.constants[value].transpose(order))
    return values.laid(values.get(value), order)


def _split(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    axis = made.order.index(node.attrs.get("axis", 0) % len(made.order))
    side = values.builder.shape(made.name)[axis]
    sizes = values.setting(node, "split", 1)
    if sizes is None:
        # The last part is smaller where they can't be equal.
        most = -(-side // len(node.outputs))
        sizes = [min(most, side - most * number) for number in range(len(node.outputs))]
    start = 0
    for output, size in enumerate(sizes):
        part = values.builder.part(made.name, axis, start=start, stop=start + int(size))
        values.keep(node, part, made.order, output=output)
        start += int(size)


def _slice(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    shape, builder = values.shape_of(made), values.builder
    starts, ends = (
        values.setting(node, name, place) or [] for place, name in ((1, "starts"), (2, "ends"))
    )
    axes = values.setting(node, "axes", 3) or range(len(starts))
    steps = values.setting(node, "steps", 4) or [1] * len(starts)
    parts = [slice(0, side, 1) for side in shape]
    name = made.name
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % len(shape)
        places = range(*slice(start, end, step).indices(shape[place]))
        if step < 0:
            name = builder.gather(name, list(places), made.order.index(place))
        else:
            parts[place] = slice(places.start, places.stop, step)
    values.keep(node, builder.sliced(name, [parts[axis] for axis in made.order]), made.order)


def _reshape(values: Values, node: OnnxNode) -> None:
    """Write what only changes the shape, from what the file says that comes out."""
    made = values.reshaped(values.get(node.inputs[0]), values.shape(node.outputs[0]))
    values.keep(node, made.name, made.order)


def _transpose(values: Values, node: OnnxNode) -> None:
    made = values.get(node.inputs[0])
    order = node.attrs.get("perm", range(len(made.order))[::-1])
    found = values.transposed(made, order)
    values.keep(node, found.name, found.order)


def _gather(values: Values, node: OnnxNode) -> None:
    made, indices = values.get(node.inputs[0]), values.required(node, 1)
    shape = values.shape_of(made)
    axis = node.attrs.get("axis", 0) % len(shape)
    places = (indices.reshape(-1) % shape[axis]).tolist()
    name = values.builder.gather(made.name, places, made.order.index(axis))
    found = Made(name, made.order)
    if indices.ndim != 1:
        found = values.reshaped(found, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))
    values.keep(node, found.name, found.order)


def _pad(values: Values, node: OnnxNode) -> None:
    made, builder = values.get(node.inputs[0]), values.builder
    rank = len(made.order)
    found = values.setting(node, "pads", 1) or []
    fill = values.setting(node, "value", 2)
    axes = [int(axis) % rank for axis in values.setting(node, "axes", 3) or range(rank)]
    pads = [(0, 0)] * rank
    for number, axis in enumerate(axes):
        pads[axis] = (int(found[number]), int(found[number + len(axes)]))
    stored = [pads[axis] for axis in made.order]
    if min(map(min, stored)) < 0:
        raise ModelError(f"expected Pad ({node.name}) to add cells, found {found}")
    mode = node.attrs.get("mode", b"constant")
    name = made.name
    if mode == b"constant":
        name = builder.pad(name, stored, fill=float(fill[0]) if fill else 0.0)
    elif mode == b"reflect":
        name = builder.mirror_pad(name, stored, with_edge=False)
    elif mode == b"edge" and max(map(max, stored)) <= MOST_REPEATED:
        for number in range(max(map(max, stored))):
            ring = [(int(before > number), int(after > number)) for before, after in stored]
            name = builder.mirror_pad(name, ring, with_edge=True)
    else:
        raise ModelError(
            f"expected Pad ({node.name}) constant, reflected, or an edge repeated up to "
            f"{MOST_REPEATED} times, found {mode.decode()} by {found}"
        )
    values.keep(node, name, made.order)


def _tile(values: Values, node: OnnxNode) -> None:
    """Write Expand and Tile: repeats along each axis, from what comes out."""
    made, shape = values.get(node.inputs[0]), values.shape(node.outputs[0])
    inside = values.shape_of(made)
    if len(inside) < len(shape):
        made = values.reshaped(made, (1,) * (len(shape) - len(inside)) + inside)
    stored = values.builder.shape(made.name)
    wanted = tuple(shape[axis] for axis in made.order)
    repeats = [new // old for new, old in zip(wanted, stored, strict=True)]
    name = made.name
    if max(repeats) > 1:
        name = values.builder.add("TILE", [name, values.builder.numbers(*repeats)], wanted)
    values.keep(node, name, made.order)


def _depth_to_space(values: Values, node: OnnxNode) -> None:
    block = node.attrs["blocksize"]
    batch, channels, height, width = values.shape(node.inputs[0])
    if node.attrs.get("mode", b"DCR") == b"DCR":
        shape = (batch, height * block, width * block, channels // block**2)
        image = values.image(node.inputs[0])
        name = values.builder.add("DEPTH_TO_SPACE", [image], shape, blockSize=block)
        values.keep(node, name, IMAGE)
        return
    split = (batch, channels // block**2, block, block, height, width)
    made = values.reshaped(values.get(node.inputs[0]), split)
    made = values.transposed(made, (0, 1, 4, 2, 5, 3))
    made = values.reshaped(made, (batch, channels // block**2, height * block, width * block))
    values.keep(node, made.name, made.order)


def _space_to_depth(values: Values, node: OnnxNode) -> None:
    block = node.attrs["blocksize"]
    batch, channels, height, width = values.shape(node.inputs[0])
    shape = (batch, height // block, width // block, channels * block**2)
    image = values.image(node.inputs[0])
    name = values.builder.add("SPACE_TO_DEPTH", [image], shape, blockSize=block)
    values.keep(node, name, IMAGE)


HANDLERS: dict[str, Handler] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _tile,
    "Flatten": _reshape,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshape,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
