"""The runtime opens what each recipe makes, and sees with it what the float model sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reference import bright_net

from calibration.observe import TappedModel, pinned_input
from calibration.ranges import Range
from converter.graph.reading import read
from converter.quantize.quantize import quantize
from converter.quantize.recipe import load_recipe
from edge.model.loaded import load_model

pytestmark = pytest.mark.converter
PATH = Path("bright.tflite")


@pytest.mark.parametrize("name", ["int8", "float16", "dynamic", "int16x8"])
def test_the_runtime_detects_with_the_file_of_every_recipe(name):
    reference = bright_net.model_file()
    recipe = load_recipe(name)
    ranges = {"image": pinned_input(reference.description.input)}
    model = TappedModel(reference.flatbuffer, reference.description.input)
    for seed, cells in enumerate([(), (1, 6), (5, 11, 14)]):
        for tensor, values in model.run(bright_net.image(cells, seed)):
            seen = Range(float(values.min()), float(values.max()))
            ranges[tensor] = ranges[tensor].merge(seen) if tensor in ranges else seen

    graph = read(reference.flatbuffer, PATH)
    made = quantize(graph, ranges if recipe.needs_ranges else {}, recipe, path=PATH)
    found, wanted = (
        load_model(file).with_thresholds(score=0.5)(bright_net.image((1, 6), 0))
        for file in (replace(reference, flatbuffer=made.flatbuffer), reference)
    )

    assert len(wanted) == 2
    np.testing.assert_allclose(sorted(found.scores), sorted(wanted.scores), atol=0.05)
