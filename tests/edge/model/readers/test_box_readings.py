"""The exporter's boxes are ratios in its `.tflite`, and pixels in its ONNX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.model.declared import Declared, Terminal
from edge.model.quant import Quant
from edge.model.readers import exporter
from edge.model.readers.box_readings import of_decoded, of_keypoints
from edge.model.spec import TensorSpec

pytestmark = pytest.mark.board

FACTS = {"names": {0: "a", 1: "b"}, "imgsz": [64, 64], "stride": 32, "task": "detect"}


def declared(output_shape, *, is_onnx, **facts):
    """Return what a float file of 64 x 64 pixels declares, with the exporter's keys."""
    image_shape = (1, 3, 64, 64) if is_onnx else (1, 64, 64, 3)
    terminals = [
        (Terminal(TensorSpec(name, index, shape, np.dtype(np.float32), Quant())),)
        for index, (name, shape) in enumerate((("images", image_shape), ("out", output_shape)))
    ]
    told = exporter.told_by(Path("m"), FACTS | facts)
    return Declared(*terminals, told, is_onnx=is_onnx)


@pytest.mark.parametrize(("is_onnx", "units"), [(True, "pixels"), (False, "ratios")])
def test_boxes_are_in_the_units_of_the_file_s_format(is_onnx, units):
    (reading,) = of_decoded(declared((1, 6, 84), is_onnx=is_onnx))
    assert (reading.head.units, reading.unknown) == (units, {})


@pytest.mark.parametrize(("is_onnx", "units"), [(True, "pixels"), (False, "ratios")])
def test_keypoints_are_in_the_units_of_their_boxes(is_onnx, units):
    model = declared((1, 6 + 51, 84), is_onnx=is_onnx, task="pose", kpt_shape=[17, 3])
    (reading,) = of_keypoints(model)
    assert (reading.head.units, reading.head.boxes.units) == (units, units)
