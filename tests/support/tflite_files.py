"""Float `.tflite` detectors built by hand, for tests of the importer of foreign files."""

from __future__ import annotations

import numpy as np
from flatbuffers import flexbuffers

from converter.graph.reading import KINDS
from converter.graph.values import Graph, Op, Tensor
from converter.graph.writing import write

SIDE, ANCHORS = 4, 12
OPTIONS = {
    "max_detections": 10, "max_classes_per_detection": 1, "num_classes": 3,
    "nms_score_threshold": 0.5, "nms_iou_threshold": 0.6,
    "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
}  # fmt: skip


class Builder:
    """Collects tensors and ops of a graph."""

    def __init__(self):
        self.tensors, self.ops = {}, []

    def tensor(self, name, shape, *, dtype="float32", value=None):
        stored = None if value is None else np.ascontiguousarray(value).reshape(shape)
        self.tensors[name] = Tensor(name, tuple(shape), dtype, stored)
        return name

    def constant(self, value):
        name = f"c{len(self.tensors)}"
        return self.tensor(name, value.shape, dtype=value.dtype.name, value=value)

    def op(self, kind, inputs, outputs, *, custom=None, version=1, **options):
        known = None if custom is None and kind in KINDS.values() else flexbuffers.Dumps(custom)
        self.ops.append(Op(kind, tuple(inputs), tuple(outputs), options, version, custom=known))

    def reshape(self, source, name, shape):
        made = self.tensor(name, shape)
        wanted = self.constant(np.int32(shape))
        self.op("RESHAPE", (source, wanted), (made,))
        return made

    def graph(self, inputs, outputs):
        return Graph(self.tensors, tuple(self.ops), tuple(inputs), tuple(outputs))

    def packed(self, inputs, outputs):
        return write(self.graph(inputs, outputs))


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
