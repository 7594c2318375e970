"""OpenCV's DNN module and onnxruntime, each in the same plain loop as the LiteRT one.

The variant names the program and its file: `opencv:model.tflite`, `onnxruntime:int8.onnx`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import cv2
import line
import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    Array = np.ndarray[Any, Any]

OUTPUTS = ["boxes", "scores"]


def opencv(path: Path) -> tuple[str, Callable[[Array], Any]]:
    """Return OpenCV's version, and what gives the heads of `(1, h, w, 3)` float32."""
    net = cv2.dnn.readNet(str(path))

    def invoke(pixels: Array) -> Any:  # noqa: ANN401
        net.setInput(pixels)
        return net.forward(OUTPUTS)

    cv2.setNumThreads(1)
    return f"OpenCV {cv2.__version__}", invoke


def onnxruntime(path: Path) -> tuple[str, Callable[[Array], Any]]:
    """Return onnxruntime's version, and what gives the heads of `(1, h, w, 3)` float32."""
    import onnxruntime as ort  # noqa: PLC0415 - only this variant's environment has it

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()

    def invoke(pixels: Array) -> Any:  # noqa: ANN401
        return session.run(OUTPUTS, {entry.name: pixels})

    return f"onnxruntime {ort.__version__}", invoke


PROGRAMS = {"opencv": opencv, "onnxruntime": onnxruntime}


def open_peer(folder: Path, variant: str) -> line.Peer:
    """Return the loop round one program and file."""
    program, _, name = variant.partition(":")
    versions, invoke = PROGRAMS[program](folder / name)
    stages = plain.Plain(folder)

    def detect(image: Array) -> list[str]:
        offsets, logits = invoke(stages.pixels(image))
        return stages.labels_of(stages.detections(offsets[0], logits[0])[2])

    return line.Loop(folder, versions, detect)


if __name__ == "__main__":
    sys.exit(line.serve(open_peer))
