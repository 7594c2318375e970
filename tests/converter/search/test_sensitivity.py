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
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from converter.quantize.repairs.weights import convolutions
from converter.search.sensitivity import layer_errors, with_rounded
from edge.model.model_file import ModelFile
from edge.model.quant import Quant

PATH = Path("net")


@pytest.fixture(scope="module")
def image_paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, tiny_net.images(), strict=False):
        cv2.imwrite(str(path), image)
    return paths


def files(**wider):
    """Return the net and its int8 file; some tensors with a range so many times too wide."""
    net = tiny_net.build("RELU")
    ranges = tiny_net.ranges(net)
    for name, factor in wider.items():
        found = ranges[name]
        ranges[name] = Range(found.min * factor, found.max * factor)
    described = manifest(input=tiny_net.TRANSFORM)
    made = quantize(read(net, PATH), ranges, load_recipe("int8"), path=PATH).flatbuffer
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
    graph, values = read(reference.flatbuffer, PATH), {}
    for layer in convolutions(graph):
        values |= layer.values(weights=layer.weights * 2)
    other = replace(reference, flatbuffer=write(with_values(graph, values)))

    assert layer_errors(other, quantized, image_paths) == ()
    assert layer_errors(other, quantized, image_paths, base=graph)
    assert "equalised" in caplog.text


def test_a_rounded_tensor_holds_levels_and_the_tensor_before_it_does_not():
    net = read(tiny_net.build("RELU"), PATH)

    found = with_rounded(net, "deep", Quant(0.25, 3))

    taps = dict(TappedModel(write(found), tiny_net.TRANSFORM).run(tiny_net.images()[0]))
    rounded = taps["deep/rounded"]
    np.testing.assert_allclose(rounded / 0.25, np.round(rounded / 0.25))
    assert np.abs(taps["deep"] - rounded).max() <= 0.125 + 1e-6
    assert (taps["deep"] != rounded).any()
    assert {op.inputs[-1] for op in found.readers["deep/rounded"]} <= {"size", "deep/rounded"}
