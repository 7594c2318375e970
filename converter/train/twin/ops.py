"""What each kind of op without weights computes, in `keras.ops`: a function each, and the table.

A function gets the op with its graph and the values of its inputs in their places: a tensor for
what is computed, an array for a constant, a variable for weights, `None` for what is absent. The
batch is the first axis of size 1, and may be larger here. A new kind of op is a row of `OPS`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from converter.train.twin.weighted_ops import LAST

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.graph.values import Op
    from converter.train.twin.weighted_ops import Compute, Step, Values

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda value: value,
    "RELU": ops.relu,
    "RELU6": ops.relu6,
    "RELU_N1_TO_1": lambda value: ops.clip(value, -1.0, 1.0),
    "TANH": ops.tanh,
}


def _pool(compute: Callable[..., Any], step: Step, values: Values) -> Any:  # noqa: ANN401
    size = int(step.op.options["filterHeight"]), int(step.op.options["filterWidth"])
    return compute(values[0], size, strides=step.op.strides, padding=step.padding, **LAST)


def _resized(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Rows and columns as matrices, whatever the rule for the centres of pixels."""
    sides = zip(step.input_shape()[1:3], step.open_shape()[1:3], strict=True)
    rows, columns = (_mixing(step.op, before, after) for before, after in sides)
    return ops.einsum("bhwc,yh,xw->byxc", values[0], rows, columns)


def _mixing(op: Op, before: int, after: int) -> Any:  # noqa: ANN401
    """Return how much of each pixel goes into each new one, `(after, before)`.

    Source: `resize_bilinear.h` and `resize_nearest_neighbor.h` of TensorFlow Lite.
    """
    places = np.arange(after, dtype=np.float32)
    corners, centres = (op.options.get(key) for key in ("alignCorners", "halfPixelCenters"))
    ratio = np.float32((before - 1) / (after - 1) if corners and after > 1 else before / after)
    table = np.zeros((after, before), np.float32)
    rows = np.arange(after)
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        found = (places + (0.5 if centres else 0)) * ratio
        found = np.floor(found + 0.5) if corners else np.floor(found)
        table[rows, np.clip(found, 0, before - 1).astype(int)] = 1
        return table
    found = (places + 0.5) * ratio - 0.5 if centres else places * ratio
    low = np.maximum(np.floor(found), 0)
    high = np.clip(np.ceil(found), 0, before - 1) if centres else np.minimum(low + 1, before - 1)
    share = np.clip(found - low, 0, 1)
    np.add.at(table, (rows, np.minimum(low, before - 1).astype(int)), 1 - share)
    np.add.at(table, (rows, high.astype(int)), share)
    return table


def _numbers(value: Any) -> list[int]:  # noqa: ANN401
    return [int(number) for number in np.asarray(value).reshape(-1)]


def _reshape(step: Step, values: Values) -> Any:  # noqa: ANN401
    return ops.reshape(values[0], step.open_shape())


def _joined(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Constants among them are repeated for each image of the batch."""
    first = next(value for value in values if not isinstance(value, np.ndarray))
    count = ops.shape(first)[0]
    rows = [
        ops.repeat(value, count, axis=0) if isinstance(value, np.ndarray) else value
        for value in values
    ]
    return ops.concatenate(rows, axis=int(step.op.options["axis"]))


def _slice(step: Step, values: Values) -> Any:  # noqa: ANN401
    starts, sizes = _numbers(values[1]), step.open_shape()
    spans = [
        slice(None) if size < 0 else slice(start, start + size)
        for start, size in zip(starts, sizes, strict=True)
    ]
    return values[0][tuple(spans)]


def _strided(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Axes that are dropped or added are so by the shape of the output."""
    options = step.op.options
    if options.get("ellipsisMask") or options.get("newAxisMask"):
        raise NotImplementedError("masks of STRIDED_SLICE for ellipses and new axes")
    spans = []
    rows = zip(*(_numbers(value) for value in values[1:4]), step.input_shape(), strict=True)
    for axis, (start, stop, stride, size) in enumerate(rows):

        def is_set(mask: str, axis: int = axis) -> bool:
            return bool(options.get(mask, 0) >> axis & 1)

        first = None if is_set("beginMask") else start
        last = None if is_set("endMask") else stop
        if is_set("shrinkAxisMask"):
            first = start % size
            last = first + 1
        is_batch = axis == 0 and size == 1
        spans.append(slice(None) if is_batch else slice(first, last, stride))
    return ops.reshape(values[0][tuple(spans)], step.open_shape())


def _parts(step: Step, values: Values) -> Any:  # noqa: ANN401
    """SPLIT (axis, value) and SPLIT_V (value, sizes, axis)."""
    is_even = step.op.kind == "SPLIT"
    source, axis = (values[1], values[0]) if is_even else (values[0], values[2])
    along = _numbers(axis)[0]
    sizes = [step.graph.shape(name)[along] for name in step.op.outputs]
    return ops.split(source, np.cumsum(sizes)[:-1].tolist(), axis=along)


def _padded(step: Step, values: Values) -> Any:  # noqa: ANN401
    pads = np.asarray(values[1]).tolist()
    if step.op.kind == "MIRROR_PAD":
        mode = ("reflect", "symmetric")[int(step.op.options.get("mode", 0))]
        return ops.pad(values[0], pads, mode=mode)
    fill = float(values[2]) if len(values) > 2 else 0.0  # noqa: PLR2004 - PADV2's third input
    return ops.pad(values[0], pads, constant_values=fill)


def _reduced(compute: Callable[..., Any], step: Step, values: Values) -> Any:  # noqa: ANN401
    keeps = bool(step.op.options.get("keepDims"))
    return compute(values[0], axis=tuple(_numbers(values[1])), keepdims=keeps)


def _to_depth(step: Step, values: Values) -> Any:  # noqa: ANN401
    block = int(step.op.options["blockSize"])
    _, high, wide, depth = step.input_shape()
    split = ops.reshape(values[0], (-1, high // block, block, wide // block, block, depth))
    return ops.reshape(ops.transpose(split, (0, 1, 3, 2, 4, 5)), step.open_shape())


def _to_space(step: Step, values: Values) -> Any:  # noqa: ANN401
    block = int(step.op.options["blockSize"])
    _, high, wide, depth = step.input_shape()
    split = ops.reshape(values[0], (-1, high, wide, block, block, depth // block**2))
    return ops.reshape(ops.transpose(split, (0, 1, 3, 2, 4, 5)), step.open_shape())


def _matmul(step: Step, values: Values) -> Any:  # noqa: ANN401
    sides = [
        ops.swapaxes(value, -1, -2) if step.op.options.get(key) else value
        for value, key in zip(values, ("adjX", "adjY"), strict=True)
    ]
    return ops.matmul(*sides)


def _normalised(step: Step, values: Values) -> Any:  # noqa: ANN401, ARG001
    """L2_NORMALIZATION. Source of the least norm: `l2normalization.h` of TensorFlow Lite."""
    norm = ops.sqrt(ops.sum(ops.square(values[0]), axis=-1, keepdims=True))
    return values[0] / ops.maximum(norm, 1e-6)


def _each(compute: Callable[[Any], Any]) -> Compute:
    return lambda _, values: compute(values[0])


def _pair(compute: Callable[[Any, Any], Any]) -> Compute:
    return lambda _, values: compute(values[0], values[1])


def _prelu(step: Step, values: Values) -> Any:  # noqa: ANN401, ARG001
    return ops.relu(values[0]) - values[1] * ops.relu(-values[0])


OPS: dict[str, Compute] = {
    "AVERAGE_POOL_2D": partial(_pool, ops.average_pool),
    "MAX_POOL_2D": partial(_pool, ops.max_pool),
    "RESIZE_BILINEAR": _resized,
    "RESIZE_NEAREST_NEIGHBOR": _resized,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "TRANSPOSE": lambda _, values: ops.transpose(values[0], _numbers(values[1])),
    "CONCATENATION": _joined,
    "SPLIT": _parts,
    "SPLIT_V": _parts,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided,
    "PAD": _padded,
    "PADV2": _padded,
    "MIRROR_PAD": _padded,
    "TILE": lambda _, values: ops.tile(values[0], _numbers(values[1])),
    "GATHER": lambda step, values: ops.take(
        values[0], _numbers(values[1]), axis=int(step.op.options.get("axis", 0))
    ),
    "REVERSE_V2": lambda _, values: ops.flip(values[0], axis=_numbers(values[1])),
    "PACK": lambda step, values: ops.stack(values, axis=int(step.op.options.get("axis", 0))),
    "UNPACK": lambda step, values: ops.unstack(
        values[0], len(step.op.outputs), axis=int(step.op.options.get("axis", 0))
    ),
    "MEAN": partial(_reduced, ops.mean),
    "SUM": partial(_reduced, ops.sum),
    "REDUCE_MAX": partial(_reduced, ops.max),
    "REDUCE_MIN": partial(_reduced, ops.min),
    "SPACE_TO_DEPTH": _to_depth,
    "DEPTH_TO_SPACE": _to_space,
    "BATCH_MATMUL": _matmul,
    "L2_NORMALIZATION": _normalised,
    "SOFTMAX": lambda step, values: ops.softmax(values[0] * float(step.op.options.get("beta", 1))),
    "LOG_SOFTMAX": _each(ops.log_softmax),
    "LEAKY_RELU": lambda step, values: ops.leaky_relu(
        values[0], negative_slope=float(step.op.options["alpha"])
    ),
    "GELU": lambda step, values: ops.gelu(
        values[0], approximate=bool(step.op.options.get("approximate"))
    ),
    "PRELU": _prelu,
    "ADD_N": lambda _, values: sum(values[1:], values[0]),
    "ADD": _pair(ops.add),
    "SUB": _pair(ops.subtract),
    "MUL": _pair(ops.multiply),
    "DIV": _pair(ops.divide),
    "MAXIMUM": _pair(ops.maximum),
    "MINIMUM": _pair(ops.minimum),
    "POW": _pair(ops.power),
    "SQUARED_DIFFERENCE": _pair(lambda one, other: ops.square(one - other)),
    "RELU": _each(ops.relu),
    "RELU6": _each(ops.relu6),
    "RELU_N1_TO_1": _each(ACTIVATIONS["RELU_N1_TO_1"]),
    "RELU_0_TO_1": _each(lambda value: ops.clip(value, 0.0, 1.0)),
    "ELU": _each(ops.elu),
    "LOGISTIC": _each(ops.sigmoid),
    "TANH": _each(ops.tanh),
    "HARD_SWISH": _each(lambda value: value * ops.relu6(value + 3.0) / 6.0),
    "ABS": _each(ops.abs),
    "NEG": _each(ops.negative),
    "EXP": _each(ops.exp),
    "LOG": _each(ops.log),
    "SQRT": _each(ops.sqrt),
    "RSQRT": _each(ops.rsqrt),
    "SQUARE": _each(ops.square),
    "SIN": _each(ops.sin),
    "COS": _each(ops.cos),
    "FLOOR": _each(ops.floor),
    "CEIL": _each(ops.ceil),
    "ROUND": _each(ops.round),
}


def computed(step: Step, values: Values) -> Any:  # noqa: ANN401
    """Return what an op without weights makes: a tensor, or one for each output."""
    made = OPS[step.op.kind](step, values)
    return ACTIVATIONS[step.op.activation](made) if len(step.op.outputs) == 1 else list(made)
