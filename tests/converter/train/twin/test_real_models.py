"""Twins of real models: imported, they give what LiteRT gives, and so does what comes back."""

from __future__ import annotations

import numpy as np
import pytest
from litert_runs import run

from converter.cli import options
from converter.cli.command import new_command
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.importing import import_model
from converter.train.twin.building import build
from converter.train.twin.statistics import statistics

pytestmark = [pytest.mark.converter, pytest.mark.assets, pytest.mark.slow]
NEAR = 1e-4
MASKS = ["--family", "unet", "--input", "rgb", "--resize", "stretch"]
MODELS = {
    "ssdlite_mobilenet_v2_coco_tfjs/model.json": ["--family", "ssd"],
    "yolov3_tiny/yolov3-tiny.cfg": ["--family", "yolo"],
    "yolo_fastest/yolo-fastest-1.1.cfg": ["--family", "yolo"],
    "yolox_nano/yolox_nano.onnx": ["--family", "yolo", "--input", "bgr", "--range", "0..255",
                                   "--resize", "letterbox"],
    "portrait_unet/mnv3_seg_float.tflite": [*MASKS, "--range=-1..1"],
    "portrait_unet/prisma-net.tflite": [*MASKS, "--range", "0..1"],
    "portrait_unet/prisma-net_fp16.tflite": [*MASKS, "--range", "0..1"],
    "portrait_unet/frozen_inference_graph.pb": [*MASKS, "--size", "513x513"],
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_twin_gives_what_litert_gives_and_so_does_what_comes_back(name, assets, tmp_path):
    line = ["run", str(assets / "models" / name), *MODELS[name], "--images", ".", "-o", "unused"]
    words = new_command().parse_args(options.join_signed(line))
    origin, choice = options.origin_of(words, name="real"), options.choice_of(words)
    file = import_model(words.model, family=words.family, origin=origin, choice=choice)
    graph = read(file.flatbuffer, file.path)
    random = np.random.default_rng(0)
    pixels = file.description.input
    ends = (np.array([0.0, 255.0]) - pixels.mean[0]) / pixels.std[0]
    images = [random.uniform(*ends, graph.shape(graph.inputs[0])).astype(np.float32)
              for _ in range(2)]  # fmt: skip
    twin = build(graph, statistics=statistics(graph, [[image] for image in images]))
    wanted = run(write(graph), images[0])
    found = twin.model(images[0], training=False)
    back = run(write(with_values(twin.graph, twin.weights())), images[0])
    for key, value in wanted.items():
        near = NEAR * max(1, float(np.abs(value).max()))
        np.testing.assert_allclose(np.asarray(found[key]), value, atol=near)
        np.testing.assert_allclose(back[key], value, atol=near)
