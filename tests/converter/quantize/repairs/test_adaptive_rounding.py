"""Weights rounded together err less in the output than each by itself, and stay on their levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import tiny_net

from calibration.observe import TappedModel
from converter.graph.reading import read
from converter.quantize.repairs.adaptive_rounding import round_rows, round_weights
from converter.quantize.repairs.patches import patches
from converter.quantize.repairs.weights import INT8_MAX, convolutions, rounding_error

PATH = Path("net.tflite")


def problem(seed, *, outputs=5, count=24):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(outputs, count))
    mix = random.normal(size=(count, 4))  # few causes: the inputs go together
    covariance = mix @ mix.T + 0.01 * np.eye(count)
    return rows, covariance, np.abs(rows).max(axis=1) / INT8_MAX


def cost(error, covariance):
    return np.einsum("oi,ij,oj->", error, covariance, error)


@given(seed=st.integers(0, 1000))
def test_the_output_errs_less_than_with_the_nearest_levels(seed):
    rows, covariance, scales = problem(seed)
    nearest = np.round(rows / scales[:, None]) * scales[:, None]

    found = round_rows(rows, covariance, scales)

    assert cost(found - rows, covariance) < cost(nearest - rows, covariance)


@given(seed=st.integers(0, 1000))
def test_weights_lie_on_levels_and_the_greatest_keeps_its_channel_s_scale(seed):
    rows, covariance, scales = problem(seed)

    levels = round_rows(rows, covariance, scales) / scales[:, None]

    np.testing.assert_allclose(levels, np.round(levels), atol=1e-9)
    np.testing.assert_allclose(np.abs(levels).max(axis=1), INT8_MAX)


def test_independent_inputs_leave_the_nearest_levels():
    rows, _, scales = problem(0)

    found = round_rows(rows, np.eye(rows.shape[1]), scales)

    np.testing.assert_allclose(found, np.round(rows / scales[:, None]) * scales[:, None])


def test_a_quantiser_s_own_rounding_finds_the_levels_again():
    net = read(tiny_net.build("RELU"), PATH)
    found = {}
    for layer in convolutions(net):
        side = layer.weights[..., 0].size if layer.is_depthwise else layer.weights[0].size
        covariance = np.eye(side) + 0.5
        channels = layer.weights.shape[3]
        found[layer.name] = np.stack([covariance] * channels) if layer.is_depthwise else covariance

    rounded = round_weights(net, found, skip=frozenset({"boxes"}))

    for before, after in zip(convolutions(net), convolutions(rounded), strict=True):
        assert np.array_equal(before.weights, after.weights) == (before.name == "boxes")
        if before.name != "boxes":
            error = rounding_error(after.weights, after.shared_axes)
            assert np.abs(error).max() <= 1e-5 * after.scales.max()
            np.testing.assert_allclose(after.scales, before.scales, rtol=1e-6)


def test_patches_times_weights_are_what_the_runtime_computes():
    net = tiny_net.build("RELU")
    taps = dict(TappedModel(net, tiny_net.TRANSFORM).run(tiny_net.images()[0]))

    for layer in convolutions(read(net, PATH)):
        rows = patches(layer, taps[layer.source][0], 10**6, random=np.random.default_rng(0))
        if layer.is_depthwise:
            columns = layer.weights.reshape(-1, layer.weights.shape[3])
            computed = np.einsum("cpk,kc->pc", rows, columns) + layer.bias
        else:
            computed = rows @ layer.weights.reshape(len(layer.weights), -1).T + layer.bias
        expected = taps[layer.name].reshape(-1, taps[layer.name].shape[-1])
        np.testing.assert_allclose(computed, expected, atol=1e-4)
