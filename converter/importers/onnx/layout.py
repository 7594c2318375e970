"""ONNX operations that join, cut, repeat or reorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.onnx.values import Made
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.importers.onnx.values import Call, Handler

# An edge is repeated by mirroring it cell by cell.
MOST_REPEATED = 8


def _concat(call: Call) -> Made:
    order = call.common_order()
    axis = call.attr("axis") % len(order)
    parts = [call.values.get(value).laid(order) for value in call.node.inputs]
    return Made(call.builder, call.builder.concat(parts, order.index(axis)), order)


def _split(call: Call) -> list[Made]:
    made, place = call.made, call.made.order.index(call.axis())
    side, count = call.builder.shape(made.name)[place], len(call.node.outputs)
    # The last part is smaller where they can't be equal.
    most = -(-side // count)
    sizes = call.setting("split", 1) or [min(most, side - most * n) for n in range(count)]
    stops = [int(sum(sizes[: n + 1])) for n in range(len(sizes))]
    return [
        made.alike(call.builder.part(made.name, place, start=start, stop=stop))
        for start, stop in zip([0, *stops], stops, strict=False)
    ]


def _slice(call: Call) -> Made:
    made, builder = call.made, call.builder
    shape, name = made.shape, made.name
    starts, ends = call.setting("starts", 1) or [], call.setting("ends", 2) or []
    axes = call.setting("axes", 3) or range(len(starts))
    steps = call.setting("steps", 4) or [1] * len(starts)
    parts = [slice(0, side, 1) for side in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % len(shape)
        places = range(*slice(start, end, step).indices(shape[place]))
        if step < 0:
            name = builder.gather(name, list(places), made.order.index(place))
        else:
            parts[place] = slice(places.start, places.stop, step)
    return made.alike(builder.sliced(name, [parts[axis] for axis in made.order]))


def _transpose(call: Call) -> Made:
    return call.made.transposed(call.attr("perm", range(len(call.made.order))[::-1]))


def _gather(call: Call) -> Made:
    made, indices, axis = call.made, call.required(1), call.axis()
    shape = made.shape
    places = (indices.reshape(-1) % shape[axis]).tolist()
    found = made.alike(call.builder.gather(made.name, places, made.order.index(axis)))
    return found.reshaped((*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def _pad(call: Call) -> Made:
    builder, made = call.builder, call.made
    rank = len(made.order)
    found = call.setting("pads", 1) or []
    fill = call.setting("value", 2) or [0.0]
    axes = [int(axis) % rank for axis in call.setting("axes", 3) or range(rank)]
    pads = dict(zip(axes, zip(found[: len(axes)], found[len(axes) :], strict=True), strict=True))
    stored = [(int(a), int(b)) for a, b in (pads.get(axis, (0, 0)) for axis in made.order)]
    widest = max(map(max, stored))
    if min(map(min, stored)) < 0:
        raise ModelError(f"expected {call.node} to add cells, found {found}")
    mode, name = call.attr("mode", b"constant"), made.name
    if mode == b"constant":
        return made.alike(builder.pad(name, stored, fill=float(fill[0])))
    if mode == b"reflect":
        return made.alike(builder.mirror_pad(name, stored, with_edge=False))
    if mode != b"edge" or widest > MOST_REPEATED:
        raise ModelError(
            f"expected {call.node} constant, reflected, or an edge repeated up to "
            f"{MOST_REPEATED} times, found {mode.decode()} by {found}"
        )
    for number in range(widest):
        ring = [(int(before > number), int(after > number)) for before, after in stored]
        name = builder.mirror_pad(name, ring, with_edge=True)
    return made.alike(name)


def _tile(call: Call) -> Made:
    """Write Expand and Tile: repeats along each axis, from what comes out."""
    shape = call.out_shape
    made = call.made.with_rank(len(shape))
    wanted = tuple(shape[axis] for axis in made.order)
    stored = call.builder.shape(made.name)
    repeats = [new // old for new, old in zip(wanted, stored, strict=True)]
    if max(repeats) == 1:
        return made
    inputs = [made.name, call.builder.numbers(*repeats)]
    return made.alike(call.builder.add("TILE", inputs, wanted))


def _depth_to_space(call: Call) -> Made:
    block, made = call.attr("blocksize"), call.made
    batch, channels, height, width = made.shape
    count, rows, columns = channels // block**2, height * block, width * block
    if call.attr("mode", b"DCR") == b"DCR":
        shape = (batch, rows, columns, count)
        name = call.builder.add("DEPTH_TO_SPACE", [call.image], shape, blockSize=block)
        return call.channels_last(name)
    made = made.reshaped((batch, count, block, block, height, width))
    return made.transposed((0, 1, 4, 2, 5, 3)).reshaped((batch, count, rows, columns))


def _space_to_depth(call: Call) -> Made:
    block = call.attr("blocksize")
    batch, channels, height, width = call.made.shape
    shape = (batch, height // block, width // block, channels * block**2)
    name = call.builder.add("SPACE_TO_DEPTH", [call.image], shape, blockSize=block)
    return call.channels_last(name)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        ("Flatten", "Reshape", "Squeeze", "Unsqueeze"),
        lambda call: call.made.reshaped(call.out_shape),
    ),
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _tile,
    "Gather": _gather,
    "Pad": _pad,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Tile": _tile,
    "Transpose": _transpose,
}
