"""What each kind of op does to channels: a function a kind of behaviour, and the table of them.

A rule gives the outputs their wires and notes which constants go with which channels. It returns
False, having done nothing, where it cannot follow: then all that the op reads must stand. A new
kind of op is a row here, and one in `converter.prune.cutting` where its numbers tell sizes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.graph.values import ABSENT
from converter.prune.tracing import Wire, axis_of, numbers, product

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from converter.graph.values import Op
    from converter.prune.tracing import Ids, Tracer

    Rule = Callable[[Tracer, Op], bool]

LAST = 3  # axis of the channels of an image (1, H, W, C)


def trace(tracer: Tracer, op: Op) -> None:
    """Follow the channels through one op, whose inputs were followed before."""
    if not any(name in tracer.wires for name in op.inputs) and op.kind not in MAKERS:
        return
    rule = RULES.get(op.kind)
    if rule is None:
        tracer.foreign.append(op)
    if rule is None or not rule(tracer, op):
        tracer.protect_inputs(op)


def _convolution(tracer: Tracer, op: Op) -> bool:
    """Weights `(O, h, w, I)`; where I is a share of the channels, it is a grouped convolution.

    Groups stay as many as they are: the channels at the same place of each go together.
    """
    graph, (source, weights) = tracer.graph, op.inputs[:2]
    if not graph.is_constant(weights):
        return False
    out, *_, depth = graph.shape(weights)
    groups = graph.shape(source)[LAST] // depth
    if (ids := tracer.wired(source, axis=LAST)) is not None:
        tracer.use(op, 1, axis=LAST, ids=tracer.unite(*ids.reshape(groups, depth)))
    else:
        tracer.protect_inputs(op)
    return _make(tracer, op, np.tile(tracer.fresh(op, out // groups), groups))


def _depthwise(tracer: Tracer, op: Op) -> bool:
    """Weights `(1, h, w, C * m)`: m channels of each that it reads."""
    ids = tracer.wired(op.inputs[0], axis=LAST)
    if ids is None or not tracer.graph.is_constant(op.inputs[1]):
        return False
    made = np.repeat(ids, tracer.graph.shape(op.inputs[1])[LAST] // len(ids))
    tracer.use(op, 1, axis=LAST, ids=made)
    tracer.use(op, 2, axis=0, ids=made)
    tracer.wires[op.output] = Wire(LAST, made)
    return True


def _transposed(tracer: Tracer, op: Op) -> bool:
    """Inputs: the output's shape, weights `(O, h, w, I)`, image, bias."""
    if not all(tracer.graph.is_constant(name) for name in op.inputs[:2]):
        return False
    if (ids := tracer.wired(op.inputs[2], axis=LAST)) is not None:
        tracer.use(op, 1, axis=LAST, ids=ids)
    else:
        tracer.protect_inputs(op)
    made = tracer.fresh(op, tracer.graph.shape(op.inputs[1])[0])
    return _make(tracer, op, made, bias=3)


def _fully_connected(tracer: Tracer, op: Op) -> bool:
    """Weights `(O, I)`; where the last axis of what it reads is not I, all of that must stand."""
    graph, (source, weights) = tracer.graph, op.inputs[:2]
    if not graph.is_constant(weights):
        return False
    shape, (out, depth) = graph.shape(source), graph.shape(weights)
    ids = tracer.wired(source, axis=len(shape) - 1)
    if ids is not None and shape[-1] == depth:
        tracer.use(op, 1, axis=1, ids=ids)
    else:
        tracer.protect_inputs(op)
    return _make(tracer, op, tracer.fresh(op, out))


def _make(tracer: Tracer, op: Op, ids: Ids, *, bias: int = 2) -> bool:
    """Give an op's last axis the channels of its weights' first one."""
    tracer.use(op, 1, axis=0, ids=ids)
    tracer.use(op, bias, axis=0, ids=ids)
    tracer.wires[op.output] = Wire(len(tracer.graph.shape(op.output)) - 1, ids)
    return True


def _same(tracer: Tracer, op: Op) -> bool:
    """Each number by itself."""
    tracer.wires[op.output] = tracer.wires[op.inputs[0]]
    return True


def _image(tracer: Tracer, op: Op) -> bool:
    """Rows and columns only: pools and resizes."""
    return tracer.wired(op.inputs[0], axis=LAST) is not None and _same(tracer, op)


def _together(tracer: Tracer, op: Op) -> bool:
    """Numbers at the same place of several inputs, whose shapes broadcast; constants go along."""
    graph, rank = tracer.graph, len(tracer.graph.shape(op.output))
    behind = {name: rank - len(graph.shape(name)) for name in op.inputs}
    axes = {tracer.wires[name].axis + behind[name] for name in op.inputs if name in tracer.wires}
    if len(axes) != 1:
        return False
    (axis,) = axes
    wide = [  # the others are one number for all channels
        name
        for name in op.inputs
        if axis >= behind[name] and graph.shape(name)[axis - behind[name]] > 1
    ]
    wired = [tracer.wires[name].ids for name in wide if name in tracer.wires]
    if not wired or any(name not in tracer.wires and not graph.is_constant(name) for name in wide):
        return False
    ids = tracer.unite(*wired)
    for place, name in enumerate(op.inputs):
        if name in wide:
            tracer.use(op, place, axis=axis - behind[name], ids=ids)
        elif name in tracer.wires:
            tracer.protect(tracer.wires[name].ids)
    tracer.wires[op.output] = Wire(axis, ids)
    return True


def _joined(tracer: Tracer, op: Op) -> bool:
    """CONCATENATION: along the channels one behind the other, along others side by side."""
    shapes = [tracer.graph.shape(name) for name in op.inputs]
    join = axis_of(int(op.options["axis"]), len(shapes[0]))
    wires = [tracer.wires.get(name) for name in op.inputs]
    (axis, *others) = {wire.axis for wire in wires if wire}
    if others or any(tracer.graph.is_constant(name) for name in op.inputs):
        return False
    if axis != join:
        if None in wires:
            return False
        tracer.wires[op.output] = Wire(axis, tracer.unite(*(wire.ids for wire in wires if wire)))
        return True
    rows = [
        wire.ids if wire else tracer.held(shape[axis])
        for wire, shape in zip(wires, shapes, strict=True)
    ]
    tracer.wires[op.output] = Wire(axis, np.concatenate(rows))
    return True


def _parts(tracer: Tracer, op: Op) -> bool:
    """SPLIT (axis, image) and SPLIT_V (image, sizes, axis)."""
    where, source = (op.inputs[0], op.inputs[1]) if op.kind == "SPLIT" else op.inputs[2::-2]
    axis, wire = numbers(tracer.graph, where), tracer.wires.get(source)
    if axis is None or wire is None:
        return False
    if axis_of(axis[0], len(tracer.graph.shape(source))) != wire.axis:
        parts = [wire.ids] * len(op.outputs)
    else:
        sizes = [tracer.graph.shape(name)[wire.axis] for name in op.outputs]
        parts = np.split(wire.ids, np.cumsum(sizes)[:-1])
    for name, ids in zip(op.outputs, parts, strict=True):
        tracer.wires[name] = Wire(wire.axis, ids)
    return True


def _slice(tracer: Tracer, op: Op) -> bool:
    """SLICE and STRIDED_SLICE that take every channel of a span, and drop no axis."""
    wire, begin = tracer.wires.get(op.inputs[0]), numbers(tracer.graph, op.inputs[1])
    if wire is None or begin is None or numbers(tracer.graph, op.inputs[2]) is None:
        return False
    count = tracer.graph.shape(op.output)[wire.axis]
    first = begin[wire.axis]
    if op.kind == "STRIDED_SLICE":
        masks = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")
        strides = numbers(tracer.graph, op.inputs[3])
        if strides is None or strides[wire.axis] != 1 or any(op.options.get(m) for m in masks):
            return False
        first = 0 if op.options.get("beginMask", 0) >> wire.axis & 1 else first
    first = axis_of(first, len(wire.ids))
    tracer.wires[op.output] = Wire(wire.axis, wire.ids[first : first + count])
    return True


def _padded(tracer: Tracer, op: Op) -> bool:
    """Padding of other axes than that of the channels."""
    wire, pads = tracer.wires.get(op.inputs[0]), numbers(tracer.graph, op.inputs[1])
    if wire is None or pads is None or any(pads[2 * wire.axis : 2 * wire.axis + 2]):
        return False
    return _same(tracer, op)


def _reduced(tracer: Tracer, op: Op) -> bool:
    """A mean or the like over other axes than that of the channels."""
    wire, found = tracer.wires.get(op.inputs[0]), numbers(tracer.graph, op.inputs[1])
    if wire is None or found is None:
        return False
    axes = {axis_of(axis, len(tracer.graph.shape(op.inputs[0]))) for axis in found}
    if wire.axis in axes:
        return False
    gone = 0 if op.options.get("keepDims") else sum(axis < wire.axis for axis in axes)
    tracer.wires[op.output] = Wire(wire.axis - gone, wire.ids)
    return True


def _reshaped(tracer: Tracer, op: Op) -> bool:
    """Channels that keep an axis, or lie side by side; of rows (of anchors) columns go together."""
    wire = tracer.wires.get(op.inputs[0])
    if wire is None or not all(name == ABSENT or tracer.graph.is_constant(name)
                               for name in op.inputs[1:]):  # fmt: skip
        return False
    before, after = tracer.graph.shape(op.inputs[0]), tracer.graph.shape(op.output)
    inner = product(before[wire.axis + 1 :])
    for axis, size in enumerate(after):
        if product(after[axis + 1 :]) != inner:
            continue
        if size == len(wire.ids):
            tracer.wires[op.output] = Wire(axis, wire.ids)
            return True
        ends = {product(before[first : wire.axis + 1]) for first in range(wire.axis)}
        if size in ends and inner == 1:
            tracer.wires[op.output] = Wire(axis, np.tile(wire.ids, size // len(wire.ids)))
            return True
        if size > 1 and len(wire.ids) % size == 0 and inner == 1:
            tracer.wires[op.output] = Wire(axis, tracer.unite(*wire.ids.reshape(-1, size)))
            return True
    return False


def _reordered(tracer: Tracer, op: Op) -> bool:
    """TRANSPOSE by a constant order."""
    wire, order = tracer.wires.get(op.inputs[0]), numbers(tracer.graph, op.inputs[1])
    if wire is None or order is None:
        return False
    tracer.wires[op.output] = Wire(order.index(wire.axis), wire.ids)
    return True


def _to_depth(tracer: Tracer, op: Op) -> bool:
    """SPACE_TO_DEPTH: the channels of each place of a block, one place after the other."""
    ids = tracer.wired(op.inputs[0], axis=LAST)
    if ids is None:
        return False
    tracer.wires[op.output] = Wire(LAST, np.tile(ids, int(op.options["blockSize"]) ** 2))
    return True


def _to_space(tracer: Tracer, op: Op) -> bool:
    """DEPTH_TO_SPACE: the way back, so that channels of one place of all blocks go together."""
    ids = tracer.wired(op.inputs[0], axis=LAST)
    if ids is None:
        return False
    rows = ids.reshape(int(op.options["blockSize"]) ** 2, -1)
    tracer.wires[op.output] = Wire(LAST, tracer.unite(*rows))
    return True


def _rows(rule: Rule, *kinds: str) -> dict[str, Rule]:
    return dict.fromkeys(kinds, rule)


# Those that make channels of their own: they are followed even where nothing led to them.
MAKERS: Sequence[str] = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
RULES: dict[str, Rule] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transposed,
    "FULLY_CONNECTED": _fully_connected,
    "CONCATENATION": _joined,
    "TRANSPOSE": _reordered,
    "SPACE_TO_DEPTH": _to_depth,
    "DEPTH_TO_SPACE": _to_space,
    "SOFTMAX": lambda *_: False,  # each number hangs on all of its row
    **_rows(_parts, "SPLIT", "SPLIT_V"),
    **_rows(_slice, "SLICE", "STRIDED_SLICE"),
    **_rows(_padded, "PAD", "PADV2", "MIRROR_PAD"),
    **_rows(_reduced, "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"),
    **_rows(_reshaped, "RESHAPE", "SQUEEZE", "EXPAND_DIMS"),
    **_rows(_image, "AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    **_rows(
        _together, "ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE",
        "PRELU",
    ),
    **_rows(
        _same, "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "ELU", "GELU",
        "LOGISTIC", "TANH", "HARD_SWISH", "ABS", "NEG", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE",
        "SIN", "COS", "FLOOR", "CEIL", "ROUND", "CAST",
    ),
}  # fmt: skip
