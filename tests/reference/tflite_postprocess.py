"""TensorFlow Lite's own decoder and suppression: a model of its one op for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec

INPUTS, OUTPUTS = (0, 1, 2), (3, 4, 5, 6)  # tensors: boxes, scores, anchors; and the four results


class TflitePostprocess:
    """TFLite_Detection_PostProcess, suppressing class by class, for heads of one shape.

    Args:
        spec: Its heads must be float32, its scores [0, 1] already, its anchors go into the model.
        score_threshold: Least score.
        iou_threshold: Greatest IoU of two survivors, > 0.
        max_detections: Most survivors, of a class and in all.
    """

    def __init__(
        self, spec: ModelSpec, *, score_threshold: float, iou_threshold: float, max_detections: int
    ) -> None:
        anchors, columns = spec.outputs["scores"].shape[1:]
        y_scale, x_scale, h_scale, w_scale = spec.description.head.box_scales
        options = {
            "max_detections": max_detections,
            "max_classes_per_detection": 1,
            "detections_per_class": max_detections,
            "use_regular_nms": True,
            "nms_score_threshold": score_threshold,
            "nms_iou_threshold": iou_threshold,
            "num_classes": columns - 1,
            "y_scale": y_scale,
            "x_scale": x_scale,
            "h_scale": h_scale,
            "w_scale": w_scale,
        }
        shapes = [(1, anchors, 4), (1, anchors, columns), (anchors, 4)]
        self._interpreter = Interpreter(model_content=_model_of_one_op(shapes, options))
        self._interpreter.allocate_tensors()
        self._anchors = spec.description.anchors

    def __call__(
        self, heads: dict[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        """Return boxes `(n, 4)` yxyx normalised, scores `(n,)` and class ids `(n,)`."""
        inputs = (heads["boxes"], heads["scores"], self._anchors)
        for index, values in zip(INPUTS, inputs, strict=True):
            self._interpreter.set_tensor(index, values)
        self._interpreter.invoke()
        boxes, class_ids, scores, number = map(self._interpreter.get_tensor, OUTPUTS)
        count = int(number[0])
        return boxes[0, :count], scores[0, :count], class_ids[0, :count].astype(np.int32)


def _model_of_one_op(shapes: list[tuple[int, ...]], options: dict[str, Any]) -> bytes:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "TFLite_Detection_PostProcess"
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = list(INPUTS), list(OUTPUTS)
    operator.customOptions = list(flexbuffers.Dumps(options))
    operator.customOptionsFormat = schema.CustomOptionsFormat.FLEXBUFFERS
    graph = schema.SubGraphT()
    graph.tensors = [_tensor(shape) for shape in shapes] + [_tensor(())] * len(OUTPUTS)
    graph.inputs, graph.outputs = list(INPUTS), list(OUTPUTS)
    graph.operators = [operator]
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(shape: tuple[int, ...]) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.shape = list(shape)
    tensor.type = schema.TensorType.FLOAT32
    return tensor
