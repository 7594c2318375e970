"""What a channel is worth by gradients is what the outputs change by when it goes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_nets import SHAPE, net_of
from factories import input_transform, manifest
from reference.masked_graph import masked

from converter.graph.writing import write
from converter.prune.channels import channels
from converter.prune.criteria import by_norm
from converter.quantize.running import prepared, tapped
from edge.decode.segmentation import SegmentationHead
from edge.model.model_file import ModelFile

pytestmark = pytest.mark.converter


def test_it_ranks_channels_as_masking_each_does(tmp_path):
    from converter.train.taylor import by_taylor  # noqa: PLC0415 - loads TensorFlow

    graph = net_of()
    described = manifest(
        input=input_transform(size_wh=(SHAPE[2], SHAPE[1])), outputs={"classes": graph.outputs[0]},
        head=SegmentationHead(activation="softmax"), labels=tuple("abcde"),
    )  # fmt: skip
    file = ModelFile.of(Path("net"), write(graph), described, anchors=None)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    random = np.random.default_rng(0)
    for path in paths:
        cv2.imwrite(str(path), random.integers(0, 256, (SHAPE[1], SHAPE[2], 3), np.uint8))
    whole = channels(graph)
    (group,) = whole.groups.values()
    inputs = prepared(paths, described.input)
    wanted = [one for (one,) in tapped(graph, graph.outputs, inputs)]
    lost = []
    for channel in range(len(group)):
        cut = masked(whole, {group.name: np.arange(len(group)) != channel})
        found = [one for (one,) in tapped(cut, cut.outputs, inputs)]
        lost.append(sum(np.square(a - b).sum() / np.square(a).sum()
                        for a, b in zip(wanted, found, strict=True)))  # fmt: skip
    worth = by_taylor(file, paths)(whole)(group)
    assert np.corrcoef(worth, lost)[0, 1] > 0.9
    assert np.argsort(worth)[:4].tolist() != np.argsort(by_norm(whole)(group))[:4].tolist()
