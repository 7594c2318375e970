"""A lowered model is held to what its original gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import bright_net

from converter.graph.reading import read
from converter.import_check import MAX_ERROR_RATIO, error_ratio, in_words, noise
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec

PATH = Path("lowered")
SHAPE = (1, bright_net.SIDE, bright_net.SIDE, 3)


@pytest.fixture(scope="module")
def flatbuffer():
    return bright_net.build()


@pytest.fixture(scope="module")
def graph(flatbuffer):
    return read(flatbuffer, PATH)


@pytest.fixture
def heads(flatbuffer):
    """Return what the net gives for the noise, `(2, ...)` by role."""
    runtime = open_interpreter(flatbuffer, PATH, threads=1)
    found = {}
    for image in noise(SHAPE):
        runtime.set_tensor(runtime.get_input_details()[0]["index"], image[None])
        runtime.invoke()
        for detail in runtime.get_output_details():
            spec = tensor_spec(detail)
            found.setdefault(spec.name, []).append(runtime.get_tensor(spec.index)[0])
    return {name: np.array(rows) for name, rows in found.items()}


def test_the_noise_is_always_the_same_and_covers_both_conventions():
    first, second = noise(SHAPE)

    assert first.max() <= 1
    assert 250 < second.max() <= 255
    np.testing.assert_array_equal(noise(SHAPE), [first, second])


def test_an_input_of_integers_gets_whole_pixels():
    (image,) = noise(SHAPE, whole=True)

    np.testing.assert_array_equal(image, np.round(noise(SHAPE)[1]))


def test_a_model_agrees_with_itself(graph, heads):
    assert error_ratio(graph, noise(SHAPE), heads, path=PATH) == 0


def test_the_error_is_the_worst_head_s_share_of_its_range(graph, heads):
    heads["boxes"][1, 3, 2] += MAX_ERROR_RATIO / 2 * np.ptp(heads["boxes"])

    found = error_ratio(graph, noise(SHAPE), heads, path=PATH)

    assert found == pytest.approx(MAX_ERROR_RATIO / 2, rel=0.01)


def test_heads_that_differ_are_refused_by_name(graph, heads):
    heads["scores"][0, 0, 1] += np.ptp(heads["scores"]) / 10

    with pytest.raises(ModelError, match=r"'scores' off by 0\.\d+; "):
        error_ratio(graph, noise(SHAPE), heads, path=PATH)


def test_an_image_that_overflows_the_original_tells_nothing(graph, heads):
    heads["scores"][1] = np.inf

    assert error_ratio(graph, noise(SHAPE), heads, path=PATH) == 0


def test_an_original_without_numbers_is_refused(graph, heads):
    heads["boxes"][:] = np.nan

    with pytest.raises(ModelError, match="finite numbers"):
        error_ratio(graph, noise(SHAPE), heads, path=PATH)


@pytest.mark.parametrize(
    ("ratio", "words"), [(0, "1e-9"), (2.1e-6, "1e-5"), (1e-3, "1e-3")], ids=str
)
def test_the_manifest_is_told_a_power_of_ten(ratio, words):
    assert (
        in_words(ratio, "OpenCV 4")
        == f"import checked against OpenCV 4: within {words} of each head's range"
    )
