"""`--recover`: what cannot be trained is refused before anything is cut."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_nets import SHAPE, Net
from factories import input_transform, manifest

from converter import export
from converter.cli.command import main
from converter.graph.writing import write
from edge.decode.segmentation import SegmentationHead
from edge.model.model_file import ModelFile
from edge.terminal.command import FAILED

pytestmark = pytest.mark.converter


def test_an_op_that_keras_is_not_taught_is_named_before_the_cut(tmp_path, capsys):
    net = Net()
    graph = net.close(net.builder.unary("SIGN", net.relu(net.conv("image", 16))))
    described = manifest(
        input=input_transform(size_wh=(SHAPE[2], SHAPE[1])), labels=tuple("abcde"),
        outputs={"classes": graph.outputs[0]}, head=SegmentationHead(activation="softmax"),
    )  # fmt: skip
    model, photos, output = (tmp_path / name for name in ("net.tflite", "photos", "small.tflite"))
    file = ModelFile.of(Path("net.tflite"), write(graph), described, anchors=None)
    export.write(export.sealed(file, described), model)
    photos.mkdir()
    random = np.random.default_rng(0)
    for number in range(20):
        cv2.imwrite(str(photos / f"{number}.png"), random.integers(0, 256, (24, 24, 3), np.uint8))
    arguments = ["prune", str(model), "--macs", "0.7", "--images", str(photos), "-o", str(output)]
    assert main([*arguments, "--recover"]) == FAILED
    assert "expected ops that training knows, found SIGN for" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"net.tflite", "photos"}
