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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.deliver.targets import edgetpu_limits as limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.graph.values import Graph, Op

COMPILER_VERSION = 16
DTYPES = ("int8", "uint8")
# Biases, shapes, axes and paddings beside the data.
CONSTANT_DTYPES = (*DTYPES, "int32")
ON_CHIP_BYTES = 8 * 2**20  # about: the compiler keeps some for itself
# Newest versions that the compiler reads; with a newer one it refuses the whole file.
READABLE_VERSIONS = {"CONV_2D": 5, "TRANSPOSE_CONV": 3, "QUANTIZE": 2, "EXP": 1}
# Oldest versions that have int8; litert-quantizer leaves the float op's 1, whatever it makes of it.
INT8_VERSIONS = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
} | dict.fromkeys(
    (
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "RELU",
        "RELU6",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SOFTMAX",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    ),
    2,
)

MAY_BE_LARGE = "large tensors may not be mapped"
MAY_LOSE_PRECISION = "depends on its sizes: it may not be mapped, to avoid a loss of precision"


@dataclass(frozen=True, slots=True)
class Support:
    """How an op is supported.

    Attributes:
        limit: Returns why one op would not be mapped; empty where it would.
        doubt: What the table leaves open; empty where nothing.
    """

    limit: Callable[[Op, Graph], str] = limits.plain
    doubt: str = ""


SUPPORTED = {
    "ADD": Support(),
    "AVERAGE_POOL_2D": Support(limits.no_activation),
    "CONCATENATION": Support(limits.concatenation),
    "CONV_2D": Support(limits.weights_stored),
    "DEPTHWISE_CONV_2D": Support(limits.weights_stored),
    "EXPAND_DIMS": Support(),
    "FULLY_CONNECTED": Support(limits.fully_connected),
    "L2_NORMALIZATION": Support(),
    "LOGISTIC": Support(),
    "MAXIMUM": Support(),
    "MAX_POOL_2D": Support(limits.no_activation),
    "MEAN": Support(limits.mean),
    "MINIMUM": Support(),
    "MUL": Support(),
    "PACK": Support(limits.pack),
    "PAD": Support(limits.pad),
    "PRELU": Support(limits.prelu),
    "QUANTIZE": Support(),
    "REDUCE_MAX": Support(limits.no_batch_axis),
    "REDUCE_MIN": Support(limits.no_batch_axis),
    "RELU": Support(),
    "RELU6": Support(),
    "RELU_N1_TO_1": Support(),
    "RESHAPE": Support(doubt=MAY_BE_LARGE),
    "RESIZE_BILINEAR": Support(doubt=MAY_LOSE_PRECISION),
    "RESIZE_NEAREST_NEIGHBOR": Support(doubt=MAY_LOSE_PRECISION),
    "RSQRT": Support(),
    "SLICE": Support(),
    "SOFTMAX": Support(limits.softmax),
    "SPACE_TO_DEPTH": Support(),
    "SPLIT": Support(limits.split),
    "SQUARED_DIFFERENCE": Support(),
    "SQUEEZE": Support(),
    "STRIDED_SLICE": Support(limits.strided_slice),
    "SUB": Support(),
    "SUM": Support(limits.no_batch_axis),
    "TANH": Support(),
    "TRANSPOSE": Support(),
    "TRANSPOSE_CONV": Support(limits.weights_stored),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Support(),
}

# What can be done about an op that is not supported.
ADVICE = {
    "LEAKY_RELU": "train with ReLU instead, or write it as the maximum of x and a * x",
    "HARD_SWISH": "train with ReLU6 instead",
    "EXP": "leave decoding to the runtime: it belongs outside the graph",
}
