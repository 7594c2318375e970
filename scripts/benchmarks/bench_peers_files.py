"""What every peer reads: one clip, one network, and what it means, in one folder.

`model.tflite` is the product's file without its manifest; `decoded.tflite` the same network with
decoding and suppression appended, as other exporters do; `float.onnx` and `int8.onnx` the same
network in that format; `contract.json`, `anchors.npy` what a user of the raw file would have to
type.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from edge_process import make_clip
from flatbuffers import flexbuffers

from converter import flatbuffer
from edge.decode.ssd import SsdHead
from edge.errors import EdgeError
from edge.model import model_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.model_file import ModelFile

MAX_DETECTIONS = 100
POSTPROCESS = b"TFLite_Detection_PostProcess"
# Source: TensorFlow Lite, LOGISTIC's fixed output quantisation for int8.
SCORE_SCALE, SCORE_ZERO_POINT = 1 / 256, -128


def prepare(folder: Path, model: Path) -> None:
    """Write everything.

    Raises:
        EdgeError: See `write_network`.
    """
    from bench_peers_onnx import write_onnx  # noqa: PLC0415 - needs the dev extra

    file = write_network(folder, model)
    make_clip(folder / "clip.mp4")
    write_onnx(file, folder / "clip.mp4", folder)


def write_network(folder: Path, model: Path) -> ModelFile:
    """Write the network in each form that LiteRT's relatives take, and what it means; return it.

    Raises:
        EdgeError: The model is no int8 SSD: the peers' loops are written for that head.
    """
    file = model_file.read(model)
    head = file.description.head
    if not isinstance(head, SsdHead) or not head.background or head.activation != "sigmoid":
        raise EdgeError(
            f"{model}: expected raw SSD heads with a background column and sigmoid scores, found "
            f"{head.kind}; name another model, or measure this one with: scripts/bench"
        )
    (folder / "model.tflite").write_bytes(file.flatbuffer)
    (folder / "decoded.tflite").write_bytes(decoded(file, head))
    np.save(folder / "anchors.npy", file.description.anchors)
    described = file.manifest
    (folder / "contract.json").write_text(
        json.dumps(
            {
                "file": str(model.resolve()),
                "labels": described.labels,
                "size_wh": described.input.size_wh,
                "mean": described.input.mean,
                "std": described.input.std,
                "box_scales": head.box_scales,
                "score_threshold": described.score_threshold,
                "iou_threshold": described.iou_threshold,
            }
        )
    )
    return file


def decoded(file: ModelFile, head: SsdHead) -> bytes:
    """Return the network with uint8 pixels in, and boxes, classes, scores and their number out.

    MediaPipe and most loops want it so. Scores become probabilities in int8 (a table), and the
    cheaper of the op's two suppressions is chosen.
    """
    model = flatbuffer.unpack(file.flatbuffer)
    graph = Appended(model)
    boxes, scores = (graph.output(file.description.outputs[role]) for role in ("boxes", "scores"))
    graph.take_uint8()
    anchors = graph.tensor("anchors", file.description.anchors.shape, data=file.description.anchors)
    probabilities = graph.tensor("probabilities", graph.shape(scores), kind="INT8")
    graph.quantise(probabilities, SCORE_SCALE, SCORE_ZERO_POINT)
    graph.add("LOGISTIC", [scores], [probabilities])
    inputs = []
    for tensor in (boxes, probabilities):
        inputs.append(graph.tensor(f"float_{tensor}", graph.shape(tensor)))
        graph.add("DEQUANTIZE", [tensor], [inputs[-1]])
    shapes = {"location": (1, MAX_DETECTIONS, 4), "category": (1, MAX_DETECTIONS)}
    shapes |= {"score": (1, MAX_DETECTIONS), "count": (1,)}
    outputs = [graph.tensor(name, shape) for name, shape in shapes.items()]
    y_scale, x_scale, h_scale, w_scale = head.box_scales
    options = {
        "max_detections": MAX_DETECTIONS,
        "max_classes_per_detection": 1,
        "detections_per_class": MAX_DETECTIONS,
        "use_regular_nms": False,
        "nms_score_threshold": file.description.score_threshold,
        "nms_iou_threshold": file.description.iou_threshold,
        "num_classes": len(file.description.labels),
        "y_scale": y_scale,
        "x_scale": x_scale,
        "h_scale": h_scale,
        "w_scale": w_scale,
    }
    graph.add("CUSTOM", [*inputs, anchors], outputs, custom=flexbuffers.Dumps(options))
    model.subgraphs[0].outputs = outputs
    model.signatureDefs = []  # they name the outputs that were
    return flatbuffer.pack(model)


class Appended:
    """Adds tensors and operators to the first subgraph of a model.

    Args:
        model: Changed in place.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - generated, untyped
        self._model = model
        self._graph = model.subgraphs[0]

    def output(self, name: str) -> int:
        """Return the index of an output tensor."""
        tensors = self._graph.tensors
        return next(i for i in self._graph.outputs if tensors[i].name.decode() == name)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(int(side) for side in self._graph.tensors[tensor].shape)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        *,
        kind: str = "FLOAT32",
        data: np.ndarray[Any, Any] | None = None,
    ) -> int:
        """Add a tensor, constant where it has data; return its index."""
        added = schema.TensorT()
        added.name, added.shape = name, list(shape)
        added.type = getattr(schema.TensorType, kind)
        added.buffer = 0  # of every model the empty one
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            added.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(added)
        return len(self._graph.tensors) - 1

    def quantise(self, tensor: int, scale: float, zero_point: int) -> None:
        """State a tensor's quantisation."""
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [zero_point]
        self._graph.tensors[tensor].quantization = quantization

    def add(
        self, kind: str, inputs: list[int], outputs: list[int], *, custom: bytes | None = None
    ) -> None:
        """Add an operator at the end."""
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        if kind in ("LOGISTIC", "DEQUANTIZE"):
            code.version = 2  # with int8
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes)
        operator.inputs, operator.outputs = inputs, outputs
        if custom is not None:
            code.customCode = POSTPROCESS
            operator.customOptions = np.frombuffer(bytes(custom), np.uint8)
        self._model.operatorCodes.append(code)
        self._graph.operators.append(operator)

    def take_uint8(self) -> None:
        """Put a uint8 input before the int8 one: each pixel's value as it is."""
        [old] = self._graph.inputs
        new = self.tensor("image", self.shape(old), kind="UINT8")
        quantization = self._graph.tensors[old].quantization
        self.quantise(new, float(quantization.scale[0]), int(quantization.zeroPoint[0]) + 128)
        self.add("QUANTIZE", [new], [old])
        self._graph.operators.insert(0, self._graph.operators.pop())
        self._graph.inputs = [new]
