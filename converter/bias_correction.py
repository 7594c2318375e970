"""Take the mean error of rounded weights out of each convolution's bias.

Rounding a channel's weights to int8 shifts its output by ``sum((Q(w) - w) * x)``; behind a ReLU6
the x are all positive, so the shift does not average out. Measured on SSDLite-MobileNetV2: about
half of the squared error of the first blocks is such a shift, and correcting it more than halves
the loss of mAP.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.2, with the means observed on the calibration set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from calibration.images import read_image
from calibration.observe import TappedModel
from converter import flatbuffer as fb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from calibration.dataset import ImageSet
    from calibration.observe import Taps
    from calibration.progress import Progress
    from edge.manifest import InputTransform

    Means = dict[str, NDArray[np.float64]]

INT8_MAX = 127  # symmetric, narrow range
CONV_INPUTS = 3  # activations, weights, bias


def observe_means(
    flatbuffer: bytes,
    images: ImageSet,
    transform: InputTransform,
    *,
    progress: Progress | None = None,
) -> Means:
    """Return the mean of each channel (last axis) of each computed tensor over the images."""
    model = TappedModel(flatbuffer, transform)
    totals: Means = {}
    for done, path in enumerate(images.paths, start=1):
        _add_inplace(totals, model.run(read_image(path)))
        if progress:
            progress(done, len(images.paths))
    return {name: total / len(images.paths) for name, total in totals.items()}


def correct_biases(flatbuffer: bytes, means: Means, *, skip: frozenset[str] = frozenset()) -> bytes:
    """Return the float model whose biases make up for the int8 rounding of its weights.

    Only to be quantised with int8 weights per channel: as a float model it is off by the shift.

    Args:
        flatbuffer: The float model.
        means: Of the input of each convolution, by tensor name.
        skip: Output tensors of the ops whose weights will not be rounded.
    """
    model = fb.unpack(flatbuffer)
    graph = model.subgraphs[0]
    for op in graph.operators:
        kind = model.operatorCodes[op.opcodeIndex].builtinCode
        if kind not in SHIFTS or len(op.inputs) != CONV_INPUTS:
            continue
        if graph.tensors[op.outputs[0]].name.decode() in skip:
            continue
        inputs = [graph.tensors[int(index)] for index in op.inputs]
        weights, bias = (_values(model, tensor) for tensor in inputs[1:])
        shift = SHIFTS[kind](weights, means[inputs[0].name.decode()])
        _set_values_inplace(model, inputs[2], bias - shift)
    return fb.pack(model)


def rounding_error(weights: NDArray[np.float32], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """Return ``Q(w) - w`` of symmetric int8, one scale for all of `axes` together."""
    scale = np.abs(weights).max(axis=axes, keepdims=True) / np.float32(INT8_MAX)
    scale[scale == 0] = 1
    error: NDArray[np.float32] = np.round(weights / scale) * scale - weights
    return error


def _conv_shift(weights: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean shift `(O,)` of a CONV_2D with weights `(O, h, w, I)`, input mean `(I,)`."""
    shift: NDArray[np.float64] = rounding_error(weights, (1, 2, 3)).sum((1, 2)) @ mean
    return shift


def _depthwise_shift(
    weights: NDArray[np.float32], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean shift `(C,)` of a DEPTHWISE_CONV_2D, weights `(1, h, w, C)`, mean `(C,)`.

    With a depth multiplier m, C is m times the input's channels.
    """
    error = rounding_error(weights, (0, 1, 2)).sum((0, 1, 2))  # (C,)
    shift: NDArray[np.float64] = error * np.repeat(mean, len(error) // len(mean))
    return shift


SHIFTS = {
    schema.BuiltinOperator.CONV_2D: _conv_shift,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: _depthwise_shift,
}


def _add_inplace(totals: Means, taps: Taps) -> None:
    for name, values in taps:
        # A scalar or an empty tensor has no channels.
        if values.ndim == 0 or not values.size:
            continue
        mean = values.mean(axis=tuple(range(values.ndim - 1)), dtype=np.float64)  # (C,)
        totals[name] = totals[name] + mean if name in totals else mean


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401
    data = bytes(model.buffers[tensor.buffer].data)
    values: NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(tensor.shape)
    return values


def _set_values_inplace(model: Any, tensor: Any, values: NDArray[Any]) -> None:  # noqa: ANN401
    data = np.ascontiguousarray(values, np.float32).tobytes()
    model.buffers[tensor.buffer].data = np.frombuffer(data, np.uint8)
