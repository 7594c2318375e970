"""Float `.tflite` detectors built by hand, for tests of the importer of foreign files."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from converter import flatbuffer as fb

SIDE, ANCHORS = 4, 12
FLOAT, INT32 = schema.TensorType.FLOAT32, schema.TensorType.INT32
OPTIONS = {
    "max_detections": 10, "max_classes_per_detection": 1, "num_classes": 3,
    "nms_score_threshold": 0.5, "nms_iou_threshold": 0.6,
    "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
}  # fmt: skip


class Builder:
    """Collects tensors, buffers and ops of one subgraph."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], [self.graph]
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, name, shape, *, dtype=FLOAT, value=None):
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.buffer = name.encode(), dtype, 0
        tensor.shape = np.array(shape, np.int32)
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def op(self, kind, inputs, outputs, *, custom=None):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind, schema.BuiltinOperator.CUSTOM)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        if code.builtinCode == schema.BuiltinOperator.CUSTOM:
            code.customCode = kind.encode()
        self.model.operatorCodes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex = len(self.model.operatorCodes) - 1
        op.inputs, op.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if custom is not None:
            op.customOptions = np.frombuffer(flexbuffers.Dumps(custom), np.uint8)
        self.graph.operators.append(op)

    def reshape(self, source, name, shape):
        made = self.tensor(name, shape)
        wanted = self.tensor(f"{name}/shape", (len(shape),), dtype=INT32, value=np.int32(shape))
        self.op("RESHAPE", (source, wanted), (made,))
        return made

    def packed(self, inputs, outputs):
        self.graph.inputs = np.array(inputs, np.int32)
        self.graph.outputs = np.array(outputs, np.int32)
        return fb.pack(self.model)


def detector(*, decoded):
    """Return an SSD whose raw boxes and scores are its input, in other shapes.

    `decoded` ends it as TensorFlow's exporter does; else its two raw heads are its outputs.
    """
    make = Builder()
    image = make.tensor("image", (1, SIDE, SIDE, 3))
    boxes = make.reshape(image, "b", (1, ANCHORS, 4))
    raw = make.reshape(image, "s", (1, ANCHORS, 4))
    scores = make.tensor("scores", (1, ANCHORS, 4))
    make.op("LOGISTIC", (raw,), (scores,))
    if not decoded:
        # Two boxes fewer, or nothing would tell boxes and scores apart.
        other = make.reshape(scores, "wide", (1, 6, 8))
        return make.packed((image,), (make.reshape(boxes, "few", (1, ANCHORS, 4)), other))
    stored = np.linspace(0, 1, ANCHORS * 4, dtype=np.float32).reshape(ANCHORS, 4)
    anchors = make.tensor("anchors", stored.shape, value=stored)
    found = [make.tensor(name, ()) for name in ("locations", "classes", "confidences", "count")]
    make.op("TFLite_Detection_PostProcess", (boxes, scores, anchors), found, custom=OPTIONS)
    return make.packed((image,), found)


def grid(*, channels=3):
    """Return a model that gives its image back, as a grid, and behind a last op of any kind."""
    make = Builder()
    image = make.tensor("image", (1, SIDE, SIDE, channels))
    output = make.tensor("output", (1, SIDE, SIDE, channels))
    make.op("LOGISTIC", (image,), (output,))
    return make.packed((image,), (output,))
