"""LiteRT and OpenCV as every tutorial puts them together, in three variants.

`raw`: the same file, its heads decoded in NumPy. `decoded`: the file with decoding and suppression
appended as the op that exported SSDs have. `supervision`: as `raw`, with supervision's suppression,
and its boxes and labels drawn.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import cv2
import line
import numpy as np
import plain
from ai_edge_litert.interpreter import Interpreter

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, Any]

BOX_SIDES = 4


class Raw:
    """The file as it is: int8 in, int8 raw heads out."""

    def __init__(self, folder: Path) -> None:
        self.stages = plain.Plain(folder)
        self._interpreter = Interpreter(str(folder / "model.tflite"), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        self._offsets = next(detail for detail in outputs if detail["shape"][-1] == BOX_SIDES)
        self._logits = next(detail for detail in outputs if detail["shape"][-1] != BOX_SIDES)

    def heads(self, image: Array) -> tuple[Array, Array]:
        """Return `(A, 4)` and `(A, C)` float32."""
        scale, zero_point = self._input["quantization"]
        quantised = np.round(self.stages.pixels(image) / scale + zero_point)
        tensor = np.clip(quantised, -128, 127).astype(np.int8)
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()
        return self._dequantised(self._offsets), self._dequantised(self._logits)

    def _dequantised(self, detail: dict[str, Any]) -> Array:
        scale, zero_point = detail["quantization"]
        raw = self._interpreter.get_tensor(detail["index"])[0]
        return (raw.astype(np.float32) - zero_point) * np.float32(scale)

    def detect(self, image: Array) -> list[str]:
        """Return the labels."""
        return self.stages.labels_of(self.stages.detections(*self.heads(image))[2])


class Decoded:
    """uint8 in; boxes, classes and scores out."""

    def __init__(self, folder: Path) -> None:
        self._stages = plain.Plain(folder)
        self._interpreter = Interpreter(str(folder / "decoded.tflite"), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def detect(self, image: Array) -> list[str]:
        """Return the labels."""
        self._interpreter.set_tensor(self._input, self._stages.resized(image)[None])
        self._interpreter.invoke()
        _, class_ids, _, count = (self._interpreter.get_tensor(i)[0] for i in self._outputs)
        return self._stages.labels_of(class_ids[: int(count)])  # rows past it are garbage


class Supervision:
    """supervision's detections, suppression and drawing round the same invoke."""

    def __init__(self, folder: Path) -> None:
        import supervision  # noqa: PLC0415 - only this variant's environment has it

        self._raw = Raw(folder)
        self._supervision = supervision
        self._box = supervision.BoxAnnotator()
        self._label = supervision.LabelAnnotator()

    def detect(self, image: Array) -> list[str]:
        """Return the labels."""
        stages = self._raw.stages
        boxes, scores, class_ids = stages.candidates(*self._raw.heads(image))
        height, width = image.shape[:2]
        detections = self._supervision.Detections(
            xyxy=boxes * [width, height, width, height], confidence=scores, class_id=class_ids
        ).with_nms(threshold=stages.iou_threshold)
        labels = stages.labels_of(detections.class_id)
        scene = self._box.annotate(image.copy(), detections)
        self._label.annotate(scene, detections, labels=labels)
        return labels


VARIANTS = {"raw": Raw, "decoded": Decoded, "supervision": Supervision}


def open_peer(folder: Path, variant: str) -> line.Loop:
    """Return one of `VARIANTS`."""
    versions = f"ai-edge-litert {version('ai-edge-litert')}, OpenCV {cv2.__version__}"
    if variant == "supervision":
        versions = f"supervision {version('supervision')}, {versions}"
    return line.Loop(folder, versions, VARIANTS[variant](folder).detect)


if __name__ == "__main__":
    sys.exit(line.serve(open_peer))
