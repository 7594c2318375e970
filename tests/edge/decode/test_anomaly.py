"""The head `anomaly`: against plain arithmetic, and on a model from end to end."""

from __future__ import annotations

import itertools
import json
import tracemalloc
import warnings
from dataclasses import replace

import cv2
import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import cli
from edge.decode.anomaly import MAX_ERROR, AnomalyDecoder, AnomalyHead
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.model import model_file
from edge.model.loaded import join, load_model
from edge.model.quant import Quant
from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

WIDTH, HEIGHT = factories.INPUT_WH
SHAPE = (1, HEIGHT, WIDTH, 3)
QUANTS = {
    "int8": Quant(0.02, 3),
    "uint8": Quant(1 / 128, 128),
    "int16": Quant(2.0**-12, 0),
    "float32": Quant(),
}


def spec_of(*, into="int8", out="int8", **changes):
    fields = {"head": AnomalyHead(threshold=0.5), "labels": (), "outputs": {"reconstruction": "r"}}
    described = factories.manifest(**fields | changes).description(None)
    return ModelSpec(
        described,
        factories.tensor("image", SHAPE, dtype=np.dtype(into), quant=QUANTS[into]),
        {
            "reconstruction": factories.tensor(
                "r", SHAPE, dtype=np.dtype(out), quant=QUANTS[out], index=1
            )
        },
    )


def random(dtype, rng):
    if dtype == "float32":
        return rng.normal(0, 1, SHAPE).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, SHAPE, dtype)


def placed(width, height):
    return Placement.fit((width, height), factories.INPUT_WH, resize="letterbox")


def decoded(spec, tensors, placement):
    decoder = AnomalyDecoder(spec, spec.description.thresholds())
    return decoder.decode(tensors, placement, StageClock())


def squares_of(spec, tensors, placement):
    """Return the squared error of each value where the frame lies, `(h, w, 3)`."""
    real = [
        (tensors[role][0].astype(np.float64) - tensor.quant.zero_point) * tensor.quant.scale
        for role, tensor in (
            ("reconstruction", spec.outputs["reconstruction"]),
            ("input", spec.input),
        )
    ]
    (x, y), (width, height) = placement.offset_xy, placement.region_wh
    return ((real[0] - real[1]) ** 2)[y : y + height, x : x + width]


@given(
    st.sampled_from(list(QUANTS)),
    st.sampled_from(list(QUANTS)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(0, 2**32),
)
def test_the_error_and_the_heat_are_the_means_of_squares(into, out, source_wh, grid_wh, seed):
    head = AnomalyHead(threshold=0.5, grid_wh=grid_wh)
    spec = spec_of(into=into, out=out, head=head)
    rng = np.random.default_rng(seed)
    tensors = {"input": random(into, rng), "reconstruction": random(out, rng)}
    placement = placed(*source_wh)
    seen = decoded(spec, tensors, placement)
    squares = squares_of(spec, tensors, placement)
    assert seen.error == pytest.approx(squares.mean(), rel=1e-4)
    rows, columns = (
        np.arange(cells + 1) * pixels // cells
        for pixels, cells in (
            (squares.shape[0], min(grid_wh[1], squares.shape[0])),
            (squares.shape[1], min(grid_wh[0], squares.shape[1])),
        )
    )
    expected = [
        [squares[top:bottom, left:right].mean() for left, right in itertools.pairwise(columns)]
        for top, bottom in itertools.pairwise(rows)
    ]
    np.testing.assert_allclose(seen.heat, expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", QUANTS)
def test_a_grey_input_has_one_channel_of_error(dtype):
    spec = spec_of(into=dtype, out=dtype)
    grey = replace(spec.input, shape=(*SHAPE[:3], 1))
    spec = replace(spec, input=grey, outputs={"reconstruction": grey})
    raw = np.zeros(grey.shape, grey.dtype)
    tensors = {"input": raw, "reconstruction": raw + grey.dtype.type(10)}
    expected = (10 * grey.quant.scale) ** 2
    assert decoded(spec, tensors, placed(20, 12)).error == pytest.approx(expected, rel=1e-5)


def test_a_perfect_reconstruction_has_no_error_whatever_the_quantisation():
    spec = spec_of(into="int8", out="float32")
    pixels = np.arange(np.prod(SHAPE)).astype(np.int8).reshape(SHAPE)
    tensors = {"input": pixels, "reconstruction": spec.input.quant.dequantize(pixels)}
    assert decoded(spec, tensors, placed(20, 12)).error == 0


def test_the_bars_of_a_letterbox_do_not_count():
    spec = spec_of(into="float32", out="float32")
    tensors = {"input": np.zeros(SHAPE, np.float32), "reconstruction": np.ones(SHAPE, np.float32)}
    placement = placed(40, 12)
    (_, y), (_, height) = placement.offset_xy, placement.region_wh
    tensors["reconstruction"][0, y : y + height] = 0
    assert decoded(spec, tensors, placement).error == 0
    assert decoded(spec, tensors, placed(20, 12)).error > 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_damaged_output_is_an_anomaly_with_a_finite_error(value):
    spec = spec_of(into="int8", out="float32")
    damaged = np.zeros(SHAPE, np.float32)
    damaged[0, 0, 0, 0] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors = {"input": np.zeros(SHAPE, np.int8), "reconstruction": damaged}
        seen = decoded(spec, tensors, placed(20, 12))
    assert seen.heat[0, 0] == MAX_ERROR
    assert np.isfinite(seen.error)
    assert seen.is_anomaly


def test_no_buffer_of_the_image_s_size_is_made_per_frame():
    spec = spec_of()
    decoder = AnomalyDecoder(spec, spec.description.thresholds())
    tensors = {role: np.zeros(SHAPE, np.int8) for role in ("input", "reconstruction")}
    placement = placed(20, 12)
    decoder.decode(tensors, placement, StageClock())
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    decoder.decode(tensors, placement, StageClock())
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    # The heat map, numbers and views; and NumPy takes 8 kB for a reduction, whatever its size.
    assert peak < 12_000


@pytest.mark.parametrize(
    ("changes", "shape", "fault"),
    [
        pytest.param({}, (1, HEIGHT, WIDTH, 1), r"need \(1, 12, 20, 3\)", id="grey"),
        pytest.param({"labels": ("a",)}, SHAPE, "has no labels, the description has 1", id="label"),
        pytest.param({"outputs": {"x": "r"}}, SHAPE, "has the output roles recon", id="role"),
    ],
)
def test_a_description_that_does_not_fit_is_named(changes, shape, fault):
    spec = spec_of()
    fields = {"head": spec.description.head, "labels": (), "outputs": {"reconstruction": "r"}}
    file = factories.model_file(manifest=factories.manifest(**fields | changes), anchors=None)
    output = replace(spec.outputs["reconstruction"], shape=shape)
    with pytest.raises(ModelError, match=fault):
        join(file, [spec.input], [output])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    pytest.importorskip("ai_edge_litert", reason="the model is written with LiteRT's schema")
    from reference import tiny_autoencoder  # noqa: PLC0415 - a board may have another runtime

    path = tmp_path_factory.mktemp("model") / "even.tflite"
    tiny_autoencoder.write(path)
    return path


def specked():
    """Return a black image of the net's size with one white point in the upper left cell."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[4, 4] = 255
    return image


def test_a_model_knows_an_even_image_and_not_a_bright_point(path):
    model = load_model(model_file.read(path))
    assert model.task == "anomaly"
    assert not model(np.full((24, 32, 3), 90, np.uint8)).is_anomaly
    seen = model(specked())
    # Eight neighbours of the point are taken for white.
    assert seen.error == pytest.approx(8 / (24 * 32), rel=1e-3)
    assert seen.heat.shape == (3, 4)
    assert seen.heat[0, 0] == pytest.approx(8 / 64, rel=1e-3)
    assert seen.heat.sum() == pytest.approx(8 / 64, rel=1e-3)
    assert seen.is_anomaly


def test_overlapping_the_stages_compares_each_frame_with_its_own_input(path, tmp_path, capfd):
    for number in range(6):
        image = specked() if number % 2 else np.full((24, 32, 3), 40 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    assert cli.main(["run", "--model", str(path), "--source", f"images:{tmp_path}"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("{")]
    said = [json.loads(line)["anomaly"]["is_anomaly"] for line in lines]
    assert said == [False, True] * 3


def test_a_threshold_of_the_configuration_is_refused_since_the_head_has_its_own(
    path, tmp_path, capsys
):
    config = tmp_path / "door.toml"
    config.write_text(f"[model]\nfile = '{path}'\nscore_threshold = 0.4\n")
    assert cli.main(["check", str(config)]) == 2
    assert "[model] score_threshold has no meaning" in capsys.readouterr().err
    assert cli.main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "head        anomaly from a mean squared error of 0.01, heat map 4 x 3" in shown
    assert "thresholds" not in shown
