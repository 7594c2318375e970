"""What version 16 of the Edge TPU compiler maps: a table of ops, versions and limits.

Sources:
    Ops, limits: Coral, "TensorFlow models on the Edge TPU",
        https://coral.ai/docs/edgetpu/models-intro/#supported-operations
    Versions that the compiler cannot even read: github.com/google-coral/edgetpu issues 631
        (CONV_2D 6), 845 (TRANSPOSE_CONV 4), 879 (QUANTIZE 3); github.com/google-coral/libedgetpu
        issue 71 (EXP 2). It was built in 2021; of other ops no limit is published.
    Versions that int8 came with: tensorflow/lite/tools/versioning/op_version.cc
    On-chip memory: Coral, "Edge TPU Compiler", parameter data caching,
        https://coral.ai/docs/edgetpu/compiler/#parameter-data-caching
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.graph.values import Graph, Op

    # What tells that an op would not be mapped, and why.
    Limit = tuple[Callable[[Op, Graph], Any], str]

COMPILER_VERSION = 16
DTYPES = ("int8", "uint8")
# Biases, shapes, axes and paddings beside the data.
CONSTANT_DTYPES = (*DTYPES, "int32")
ON_CHIP_BYTES = 8 * 2**20  # about: the compiler keeps some for itself
# Newest versions that the compiler reads; with a newer one it refuses the whole file.
READABLE_VERSIONS = {"CONV_2D": 5, "TRANSPOSE_CONV": 3, "QUANTIZE": 2, "EXP": 1}
# Oldest versions that have int8; litert-quantizer leaves the float op's 1, whatever it makes of it.
INT8_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4} | dict.fromkeys(
    (
        "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD",
        "RELU", "RELU6", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX", "SUB", "TANH",
        "TRANSPOSE", "TRANSPOSE_CONV",
    ),
    2,
)  # fmt: skip
MAPPED_AXES = 3  # innermost axes that may be longer than 1
Z_MULTIPLE = 4
MAX_SOFTMAX = 16_000
CONCAT_WITH_ZEROS = 2


def innermost_axes(op: Op, graph: Graph) -> str:
    """Return why tensors of unknown shape, or of more than three long axes, are not mapped."""
    for name in (*graph.computed_inputs(op), *op.outputs):
        tensor = graph.tensors[name]
        if tensor.open_axes:
            return "its shape is only known when it runs"
        if math.prod(tensor.shape[:-MAPPED_AXES]) > 1:
            return "more than the 3 innermost axes are longer than 1"
    return ""


def _joins_numbers(op: Op, graph: Graph) -> bool:
    """Return whether constants are joined, other than zeros to one other input."""
    constants = [value for name in op.inputs if (value := graph.value(name)) is not None]
    is_padding = len(op.inputs) == CONCAT_WITH_ZEROS and not any(one.any() for one in constants)
    return bool(constants) and not is_padding


def _axes(op: Op, graph: Graph) -> list[int]:
    rank, axes = len(graph.shape(op.inputs[0])), graph.value(op.inputs[1])
    return [0] if axes is None else [int(axis) % rank for axis in axes.ravel()]


def _splits_depth(op: Op, graph: Graph) -> bool:
    shape = graph.shape(op.inputs[0])
    return len(shape) - 1 in _axes(op, graph) and bool(shape[-1] % Z_MULTIPLE)


def _has_strides(op: Op, graph: Graph) -> bool:
    strides = graph.value(op.inputs[3])
    return strides is None or bool((strides != 1).any())


def _splits_batch(op: Op, graph: Graph) -> bool:
    axis = graph.value(op.inputs[0])
    return axis is not None and not axis.any()


def _pads_batch(op: Op, graph: Graph) -> bool:
    paddings = graph.value(op.inputs[1])
    return paddings is not None and bool(paddings[0].any())


def _is_stored(op: Op, graph: Graph) -> bool:
    return graph.is_constant(op.inputs[1])


ACTIVATED: Limit = (lambda op, _graph: op.activation != "NONE", "it has a fused activation")
COMPUTED: Limit = (lambda op, graph: not _is_stored(op, graph), "its weights are computed")
DILATED: Limit = (
    lambda op, _graph: op.dilations[0] != op.dilations[1],
    "its dilation along y and x differ",
)
BATCH: Limit = (lambda op, graph: 0 in _axes(op, graph), "it reduces the batch axis")
# An op that the compiler knows, to its limits; the first that is met is said.
SUPPORTED: dict[str, tuple[Limit, ...]] = {
    **dict.fromkeys((
        "ADD", "EXPAND_DIMS", "L2_NORMALIZATION", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL",
        "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SPACE_TO_DEPTH", "SQUARED_DIFFERENCE",
        "SQUEEZE", "SUB", "TANH", "TRANSPOSE", "UNIDIRECTIONAL_SEQUENCE_LSTM",
    ), ()),
    "AVERAGE_POOL_2D": (ACTIVATED,),
    "CONCATENATION": (
        (_joins_numbers, "it joins a constant that is not zeros beside one other input"),
        ACTIVATED,
    ),
    "CONV_2D": (COMPUTED, DILATED),
    "DEPTHWISE_CONV_2D": (COMPUTED, DILATED),
    "FULLY_CONNECTED": (
        (
            lambda op, _graph: op.options.get("weightsFormat"),
            "its weights are not in the default format",
        ),
        (
            lambda op, graph: math.prod(graph.shape(op.output)[:-1]) > 1,
            "its output is not one-dimensional",
        ),
    ),
    "MAX_POOL_2D": (ACTIVATED,),
    "MEAN": ((_splits_depth, f"it reduces a depth that is no multiple of {Z_MULTIPLE}"), BATCH),
    "PACK": ((lambda op, _graph: op.options.get("axis") == 0, "it packs along the batch axis"),),
    "PAD": (
        (lambda op, graph: not _is_stored(op, graph), "its paddings are computed"),
        (_pads_batch, "it pads the batch axis"),
    ),
    "PRELU": (
        (
            lambda op, graph: math.prod(graph.shape(op.inputs[1])[:-1]) > 1,
            "its slopes are not one for each channel",
        ),
    ),
    "REDUCE_MAX": (BATCH,),
    "REDUCE_MIN": (BATCH,),
    "SOFTMAX": (
        (
            lambda op, graph: math.prod(graph.shape(op.inputs[0])[:-1]) > 1,
            "its input is not one-dimensional",
        ),
        (
            lambda op, graph: graph.shape(op.inputs[0])[-1] > MAX_SOFTMAX,
            f"it has over {MAX_SOFTMAX:,} values",
        ),
    ),
    "SPLIT": ((_splits_batch, "it splits the batch axis"),),
    "STRIDED_SLICE": (
        (_has_strides, "its strides are not all 1"),
        (
            lambda op, _graph: op.options.get("ellipsisMask") or op.options.get("newAxisMask"),
            "it has an ellipsis or a new axis",
        ),
    ),
    "SUM": (BATCH,),
    "TRANSPOSE_CONV": (COMPUTED,),
}  # fmt: skip
MAY_LOSE_PRECISION = "depends on its sizes: it may not be mapped, to avoid a loss of precision"
# What the table leaves open.
DOUBTS = {
    "RESHAPE": "large tensors may not be mapped",
    "RESIZE_BILINEAR": MAY_LOSE_PRECISION,
    "RESIZE_NEAREST_NEIGHBOR": MAY_LOSE_PRECISION,
}
# What can be done about an op that is not supported.
ADVICE = {
    "LEAKY_RELU": "train with ReLU instead, or write it as the maximum of x and a * x",
    "HARD_SWISH": "train with ReLU6 instead",
    "EXP": "leave decoding to the runtime: it belongs outside the graph",
}
