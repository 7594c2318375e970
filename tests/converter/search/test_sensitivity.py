"""Layers are blamed for what they cost, one at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import manifest
from reference import tiny_net

from calibration.observe import TappedModel
from calibration.ranges import Range
from converter import flatbuffer as fb
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from converter.quantize.repairs.weights import convolutions, set_convolution_inplace
from converter.search.fake_quantization import Levels, round_tensor_inplace
from converter.search.sensitivity import layer_errors
from edge.model.model_file import ModelFile


@pytest.fixture(scope="module")
def image_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, tiny_net.images(), strict=False):
        cv2.imwrite(str(path), image)
    return paths


def files(**wider):
    """Return the net and its int8 twin; some tensors with a range so many times too wide."""
    net = tiny_net.build("RELU")
    ranges = tiny_net.ranges(net)
    for name, factor in wider.items():
        found = ranges[name]
        ranges[name] = Range(found.min * factor, found.max * factor)
    described = manifest(input=tiny_net.TRANSFORM)
    made = quantize(net, ranges, load_recipe("int8"), path=Path("net")).flatbuffer
    return (ModelFile.of(Path("m"), data, described, anchors=None) for data in (net, made))


def test_the_layer_with_far_too_wide_a_range_takes_most_of_the_blame(image_paths):
    reference, quantized = files(deep=60)

    rows = layer_errors(reference, quantized, image_paths)

    worst = max(rows, key=lambda row: row.share)
    assert worst.name == "deep"
    assert worst.op == "DEPTHWISE_CONV_2D"
    assert worst.share > 0.5
    assert worst.snr_db == min(row.snr_db for row in rows)


def test_the_shares_add_up_to_one(image_paths):
    rows = layer_errors(*files(), image_paths)

    assert sum(row.share for row in rows) == pytest.approx(1)
    assert {"stem", "deep", "boxes", "logits"} <= {row.name for row in rows}


def test_weights_of_another_float_model_are_not_blamed_on_layers(image_paths, caplog):
    reference, quantized = files()
    model = fb.unpack(reference.flatbuffer)
    for layer in convolutions(model):
        set_convolution_inplace(model, layer, weights=layer.weights * 2)
    other = replace(reference, flatbuffer=fb.pack(model))

    assert layer_errors(other, quantized, image_paths) == ()
    assert layer_errors(other, quantized, image_paths, twin=reference.flatbuffer)
    assert "equalised" in caplog.text


def test_a_rounded_tensor_holds_levels_and_the_tensor_before_it_does_not():
    net = fb.unpack(tiny_net.build("RELU"))
    graph = net.subgraphs[0]
    index = next(i for i, tensor in enumerate(graph.tensors) if tensor.name == b"deep")

    made = round_tensor_inplace(net, index, Levels(0.25, 3))

    name = graph.tensors[made].name.decode()
    taps = dict(TappedModel(fb.pack(net), tiny_net.TRANSFORM).run(tiny_net.images()[0]))
    levels = taps[name] / 0.25
    np.testing.assert_allclose(levels, np.round(levels))
    assert np.abs(taps["deep"] - taps[name]).max() <= 0.125 + 1e-6
    assert (taps["deep"] != taps[name]).any()
