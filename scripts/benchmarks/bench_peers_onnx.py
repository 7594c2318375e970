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

from converter.deliver.targets.onnx_ops import to_onnx
from converter.graph.reading import read
from edge.model.quant import Quant
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile

CALIBRATION_FRAMES, CALIBRATION_STEP = 32, 3


def write_onnx(file: ModelFile, clip: Path, folder: Path) -> None:
    """Write `float.onnx` and `int8.onnx`.

    Raises:
        EdgeError: An op has no ONNX form, or `onnx` is not installed.
    """
    graph = dequantised(read(file.flatbuffer, file.path))
    (folder / "float.onnx").write_bytes(to_onnx(graph, path=file.path).SerializeToString())
    # It advises on its own preprocessing, of which this graph has no need.
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Calibration(file, clip, graph.inputs[0]),
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


def dequantised(graph: Graph) -> Graph:
    """Return an int8 graph whose integers are the real numbers that they stand for."""
    tensors = {
        name: tensor
        if tensor.quantisation is None
        else replace(
            tensor,
            dtype="float32",
            value=None if tensor.value is None else tensor.numbers,
            quantisation=None,
        )
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)
