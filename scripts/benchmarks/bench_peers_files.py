"""What every peer reads: one clip, one network, and what it means, in one folder.

`model.tflite` is the product's file without its manifest; `decoded.tflite` the same network with
decoding and suppression appended, as other exporters do; `float.onnx` and `int8.onnx` the same
network in that format; `contract.json`, `anchors.npy` what a user of the raw file would have to
type.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from edge_process import make_clip
from flatbuffers import flexbuffers

from converter.graph.reading import read
from converter.graph.values import Graph, Op, Quantisation, Tensor
from converter.graph.writing import write
from edge.decode.ssd import SsdHead
from edge.errors import EdgeError
from edge.model import model_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.model_file import ModelFile

MAX_DETECTIONS = 100
POSTPROCESS = "TFLite_Detection_PostProcess"
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
    graph = read(file.flatbuffer, file.path)
    boxes, scores = (file.description.outputs[role] for role in ("boxes", "scores"))
    stored = file.description.anchors
    if stored is None:
        raise EdgeError(f"{file.path}: expected an SSD with anchors, found none")
    (source,) = graph.inputs
    added = [
        _uint8(graph.tensors[source]),
        Tensor("anchors", stored.shape, value=stored),
        Tensor(
            "probabilities", graph.shape(scores), "int8",
            quantisation=_levels(SCORE_SCALE, SCORE_ZERO_POINT),
        ),
        Tensor("float_boxes", graph.shape(boxes)),
        Tensor("float_scores", graph.shape(scores)),
        Tensor("location", (1, MAX_DETECTIONS, 4)),
        *(Tensor(name, (1, MAX_DETECTIONS)) for name in ("category", "score")),
        Tensor("count", (1,)),
    ]  # fmt: skip
    outputs = ("location", "category", "score", "count")
    ops = (
        Op("QUANTIZE", ("pixels",), (source,)),
        *graph.ops,
        Op("LOGISTIC", (scores,), ("probabilities",), version=2),  # with int8
        Op("DEQUANTIZE", (boxes,), ("float_boxes",), version=2),
        Op("DEQUANTIZE", ("probabilities",), ("float_scores",), version=2),
        Op(
            POSTPROCESS, ("float_boxes", "float_scores", "anchors"), outputs,
            custom=_options(file, head),
        ),
    )  # fmt: skip
    tensors = {**graph.tensors, **{tensor.name: tensor for tensor in added}}
    return write(Graph(tensors, ops, ("pixels",), outputs))


def _uint8(source: Tensor) -> Tensor:
    """Return the input that holds each pixel's value as it is, for an int8 one."""
    found = source.quantisation
    if found is None:
        raise EdgeError(f"expected an int8 input, found {source.dtype}")
    levels = _levels(float(found.scales[0]), int(found.zero_points[0]) + 128)
    return Tensor("pixels", source.shape, "uint8", quantisation=levels)


def _levels(scale: float, zero_point: int) -> Quantisation:
    return Quantisation(np.array([scale], np.float32), np.array([zero_point]))


def _options(file: ModelFile, head: SsdHead) -> bytes:
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
    return bytes(flexbuffers.Dumps(options))
