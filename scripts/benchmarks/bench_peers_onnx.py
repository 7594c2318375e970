"""The int8 `.tflite`'s network as ONNX: its weights in float, and quantised by onnxruntime.

The rounding that suits one runtime is not the one that another fuses, so its own quantiser does it,
per channel and with pairs of QuantizeLinear and DequantizeLinear, on frames of the clip.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from converter import flatbuffer
from converter.deliver.targets.graph_ops import read_graph
from converter.deliver.targets.onnx_ops import to_onnx
from edge.model.quant import Quant
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from pathlib import Path

    from converter.deliver.targets.graph_ops import OpGraph
    from edge.model.model_file import ModelFile

CALIBRATION_FRAMES, CALIBRATION_STEP = 32, 3


def write_onnx(file: ModelFile, clip: Path, folder: Path) -> None:
    """Write `float.onnx` and `int8.onnx`.

    Raises:
        EdgeError: An op has no ONNX form, or `onnx` is not installed.
    """
    quantised = flatbuffer.unpack(file.flatbuffer).subgraphs[0].tensors
    graph = dequantised(read_graph(file), quantised)
    (folder / "float.onnx").write_bytes(to_onnx(graph).SerializeToString())
    # It advises on its own preprocessing, of which this graph has no need.
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Calibration(file, clip, graph.tensors[graph.inputs[0]].name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Frames of the clip as the float network takes them; the interface is onnxruntime's."""

    def __init__(self, file: ModelFile, clip: Path, name: str) -> None:
        transform = file.description.input
        self._name = name
        self._preprocessor = Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32))
        self._shape = (1, *transform.size_wh[::-1], 3)
        self._capture = cv2.VideoCapture(str(clip))
        self._left = CALIBRATION_FRAMES

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """Return the next input, `None` behind the last."""
        if not self._left:
            return None
        self._left -= 1
        for _ in range(CALIBRATION_STEP):
            _, image = self._capture.read()
        tensor = np.zeros(self._shape, np.float32)
        self._preprocessor.fill_input(image, tensor)
        return {self._name: tensor}


def dequantised(graph: OpGraph, quantised: list[Any]) -> OpGraph:
    """Return a graph whose integer constants are the real numbers that they stand for.

    Args:
        graph: Of int8 tensors.
        quantised: The same tensors as the schema has them, with their scales.
    """
    tensors = []
    for tensor, description in zip(graph.tensors, quantised, strict=True):
        quantization = description.quantization
        if quantization is None or quantization.scale is None:
            tensors.append(tensor)
            continue
        data = b""
        if tensor.data:
            data = _real(tensor.value, quantization).astype("<f4").tobytes()
        tensors.append(replace(tensor, dtype="FLOAT32", data=data))
    return replace(graph, tensors=tuple(tensors))


def _real(value: np.ndarray[Any, Any], quantization: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
    scale = np.asarray(quantization.scale, np.float64)
    zero_point = np.asarray(quantization.zeroPoint, np.float64)
    if len(scale) > 1:
        shape = [1] * value.ndim
        shape[quantization.quantizedDimension] = len(scale)
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    real: np.ndarray[Any, Any] = (value.astype(np.float64) - zero_point) * scale
    return real
