"""Times of int8 models are measured beside the whole one's, which is made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from drawn_nets import SHAPE, Net
from factories import input_transform, manifest

from converter.graph.writing import write
from converter.prune import measures
from edge.decode.segmentation import SegmentationHead
from edge.model.model_file import ModelFile


def net(channels):
    made = Net()
    return made.close(made.relu(made.conv(made.relu(made.conv("image", channels)), 16)))


def test_the_whole_model_is_quantised_once_however_many_are_timed_beside_it(monkeypatch):
    graph, made = net(128), []
    quantize = measures.quantize
    monkeypatch.setattr(
        measures, "quantize", lambda *args, **kwargs: made.append(1) or quantize(*args, **kwargs)
    )
    described = manifest(
        input=input_transform(size_wh=(SHAPE[2], SHAPE[1]), resize="stretch"),
        labels=tuple("abcde"), outputs={"classes": graph.outputs[0]},
        head=SegmentationHead(activation="softmax"),
    )  # fmt: skip
    file = ModelFile.of(Path("net.tflite"), write(graph), described, anchors=None)
    image = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    times = measures.Times(file, [[image]])
    thin = replace(file, flatbuffer=write(net(8)))
    assert [times.gain(each) > 1 for each in (thin, thin)] == [True, True]
    assert len(made) == 3  # the whole one, and what is timed beside it twice
