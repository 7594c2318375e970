"""Segmentation decoding against a naive float reference, at ties, NaN and letterbox borders."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import segmentation_float

from edge import app
from edge.decode.segmentation import SegmentationDecoder, SegmentationHead
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.model.loaded import load_model
from edge.model.quant import Quant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

HEIGHT, WIDTH = 6, 10  # half of the factories' input
WHOLE = Placement.fit(factories.INPUT_WH, factories.INPUT_WH, resize="stretch")
QUANTS = {
    "int8": Quant(float(np.float32(0.07)), 5),
    "uint8": Quant(float(np.float32(0.07)), 130),
    "int16": Quant(2.0**-11, 0),
    "float32": Quant(),
}
PROBABILITY_QUANTS = {
    "int8": Quant(1 / 256, -128),
    "uint8": Quant(1 / 256, 0),
    "int16": Quant(2.0**-15, 0),
    "float32": Quant(),
}


def spec_of(
    dtype: str, activation: str, channels: int | None, *, quant: Quant | None = None, **changes: Any
) -> ModelSpec:
    shape = (1, HEIGHT, WIDTH) if channels is None else (1, HEIGHT, WIDTH, channels)
    chosen = {"none": PROBABILITY_QUANTS, "argmax": {}}.get(activation, QUANTS)
    output = factories.tensor(
        "output", shape, dtype=np.dtype(dtype), quant=quant or chosen.get(dtype, Quant())
    )
    return factories.segmentation_spec(
        output, head=SegmentationHead(activation=activation), **changes
    )


def random_heads(spec: ModelSpec, rng: np.random.Generator, *, levels: int) -> dict[str, Any]:
    """Return an output of so few values that many tie."""
    output = spec.outputs["classes"]
    if output.dtype.kind == "f":
        values = rng.choice(np.linspace(-3, 3, levels), output.shape)
        if spec.description.head.activation == "none":
            values = (values + 3) / 6
    else:
        info = np.iinfo(output.dtype)
        values = rng.choice(np.linspace(info.min, info.max, levels).astype(int), output.shape)
    return {"classes": values.astype(output.dtype)}


def decoded(
    spec: ModelSpec, heads: dict[str, NDArray[Any]], *, score_threshold: float = 0.5
) -> list[list[int]]:
    decoder = SegmentationDecoder(spec, factories.thresholds(score_threshold))
    decoder.class_ids.fill(255)  # what an earlier frame left there
    seen = decoder.decode(heads, WHOLE, StageClock())
    assert seen.class_ids.shape == (HEIGHT, WIDTH)
    return seen.class_ids.tolist()


@pytest.mark.parametrize("dtype", QUANTS)
@pytest.mark.parametrize(
    ("activation", "channels"),
    [("sigmoid", 1), ("softmax", 2), ("softmax", 3), ("softmax", 21), ("none", 1), ("none", 2)],
)
@given(data=st.data())
def test_decoding_equals_the_naive_float_reference(
    dtype: str, activation: str, channels: int, data: st.DataObject
) -> None:
    spec = spec_of(dtype, activation, channels)
    score_threshold = data.draw(st.sampled_from([0.0, 0.05, 0.5, 0.73, 1.0]))
    levels = data.draw(st.sampled_from([2, 3, 5, 200]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    heads = random_heads(spec, np.random.default_rng(seed), levels=levels)
    expected = segmentation_float.class_ids(heads, spec, score_threshold=score_threshold)
    assert decoded(spec, heads, score_threshold=score_threshold) == expected


@pytest.mark.parametrize("dtype", QUANTS)
@pytest.mark.parametrize(("activation", "channels"), [("softmax", 2), ("softmax", 21), ("none", 3)])
def test_a_map_with_its_channels_first_gives_the_same_ids(
    dtype: str, activation: str, channels: int
) -> None:
    spec = spec_of(dtype, activation, channels)
    heads = random_heads(spec, np.random.default_rng(3), levels=5)
    output = spec.outputs["classes"]
    shape = (1, channels, HEIGHT, WIDTH)
    turned = replace(spec, outputs={"classes": replace(output, shape=shape)})
    planes = {"classes": np.ascontiguousarray(heads["classes"].transpose(0, 3, 1, 2))}
    assert decoded(turned, planes) == decoded(spec, heads)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("channels", [None, 1], ids=["(1, H, W)", "(1, H, W, 1)"])
def test_ids_of_the_graph_come_back_as_they_are(dtype: str, channels: int | None) -> None:
    spec = spec_of(dtype, "argmax", channels, labels=("a", "b", "c"))
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 3, spec.outputs["classes"].shape).astype(dtype)
    expected = segmentation_float.class_ids({"classes": ids}, spec, score_threshold=0.5)
    assert decoded(spec, {"classes": ids}) == expected


@pytest.mark.parametrize("wrong", [-1, 3, 100])
def test_an_id_of_the_graph_without_a_label_is_an_error(wrong: int) -> None:
    spec = spec_of("int8", "argmax", None, labels=("a", "b", "c"))
    ids = np.zeros((1, HEIGHT, WIDTH), np.int8)
    ids[0, 4, 5] = wrong
    with pytest.raises(ModelError, match=f"holds class id {wrong}, expected 0 to 2"):
        decoded(spec, {"classes": ids})


@pytest.mark.parametrize("dtype", QUANTS)
@pytest.mark.parametrize("channels", [2, 3, 21])
def test_of_equal_scores_the_lowest_class_wins(dtype: str, channels: int) -> None:
    spec = spec_of(dtype, "softmax", channels)
    scores = np.full((1, HEIGHT, WIDTH, channels), 7, dtype)
    assert decoded(spec, {"classes": scores}) == [[0] * WIDTH] * HEIGHT
    scores[..., -2:] = 9
    assert decoded(spec, {"classes": scores}) == [[channels - 2] * WIDTH] * HEIGHT


@given(seed=st.integers(0, 2**32 - 1), channels=st.sampled_from([1, 2, 3, 5]))
def test_nan_loses_against_every_number(seed: int, channels: int) -> None:
    spec = spec_of("float32", "sigmoid" if channels == 1 else "softmax", channels)
    heads = random_heads(spec, np.random.default_rng(seed), levels=3)
    values = heads["classes"]
    values[np.random.default_rng(seed + 1).random(values.shape) < 0.4] = np.nan
    values[0, 0] = np.nan
    values[0, 1] = -np.inf
    expected = segmentation_float.class_ids(heads, spec, score_threshold=0.5)
    assert decoded(spec, heads) == expected
    assert expected[0] == [0] * WIDTH


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_threshold_decides_to_the_quantum(dtype: str) -> None:
    spec = spec_of(dtype, "none", 1)
    quant = spec.outputs["classes"].quant
    half = quant.quantize(np.array(0.5), np.dtype(dtype))
    at = np.full((1, HEIGHT, WIDTH, 1), half, dtype)
    assert decoded(spec, {"classes": at}) == [[1] * WIDTH] * HEIGHT
    assert decoded(spec, {"classes": at - 1}) == [[0] * WIDTH] * HEIGHT


@pytest.mark.parametrize("channels", [1, 2, 21], ids=["one", "two", "many"])
def test_a_frame_leaves_nothing_behind_and_makes_nothing_of_its_size(channels: int) -> None:
    shape = (1, 256, 256, channels)
    activation = "sigmoid" if channels == 1 else "softmax"
    spec = factories.segmentation_spec(
        factories.tensor("output", shape), head=SegmentationHead(activation=activation)
    )
    decoder = SegmentationDecoder(spec, factories.thresholds(0.5))
    heads = {"classes": np.zeros(shape, np.int8)}
    decoder.decode(heads, WHOLE, StageClock())
    tracemalloc.start()
    decoder.decode(heads, WHOLE, StageClock())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 256 * 256 / 4


@pytest.mark.parametrize(
    ("source_wh", "shape"),
    [
        pytest.param((20, 12), (6, 10), id="of the input's aspect"),
        pytest.param((40, 12), (3, 10), id="wide: bars above and below"),
        pytest.param((12, 12), (6, 6), id="narrow: bars at the sides"),
        pytest.param((4000, 1), (1, 10), id="a line"),
        pytest.param((1, 4000), (6, 1), id="a column"),
    ],
)
def test_a_class_map_covers_the_frame_without_the_bars(
    source_wh: tuple[int, int], shape: tuple[int, int]
) -> None:
    spec = spec_of("int8", "softmax", 2)
    decoder = SegmentationDecoder(spec, factories.thresholds(0.5))
    placement = Placement.fit(source_wh, factories.INPUT_WH, resize="letterbox")
    scores = np.zeros(spec.outputs["classes"].shape, np.int8)
    seen = decoder.decode({"classes": scores}, placement, StageClock())
    assert seen.class_ids.shape == shape
    assert seen.size_wh == source_wh
    assert np.shares_memory(seen.class_ids, decoder.class_ids)


# Each cell has a class of its own.
NUMBERS = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(1, HEIGHT, WIDTH)
NUMBERED = SegmentationDecoder(
    factories.segmentation_spec(
        factories.tensor("output", NUMBERS.shape, dtype=NUMBERS.dtype),
        head=SegmentationHead(activation="argmax"),
        labels=tuple(map(str, range(NUMBERS.size))),
    ),
    factories.thresholds(0.5),
)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_cropped_map_lies_within_half_a_cell_of_the_frame(width: int, height: int) -> None:
    placement = Placement.fit((width, height), factories.INPUT_WH, resize="letterbox")
    ids = NUMBERED.decode({"classes": NUMBERS}, placement, StageClock()).class_ids
    row, column = divmod(int(ids[0, 0]), WIDTH)
    (x, y), (region_width, region_height) = placement.offset_xy, placement.region_wh
    # A cell is two input pixels wide; a region of less than one cell may be off by most of one.
    tolerance = 1 if min(region_width, region_height) > 1 else 2
    assert abs(column * 2 - x) <= tolerance
    assert abs(row * 2 - y) <= tolerance
    assert abs((column + ids.shape[1]) * 2 - (x + region_width)) <= tolerance
    assert abs((row + ids.shape[0]) * 2 - (y + region_height)) <= tolerance


@pytest.mark.assets
def test_a_real_deeplab_whose_graph_ends_in_an_argmax_of_int64_finds_the_bird(assets, tmp_path):
    photographs = assets / "images" / "coral"
    names = (photographs / "pascal_voc_segmentation_labels.txt").read_text().splitlines()[:21]
    (tmp_path / "d.toml").write_text(
        f"""
        [model]
        name = "deeplab"
        labels = {json.dumps(names)}
        [input]
        size_wh = [513, 513]
        color = "rgb"
        mean = [127.5, 127.5, 127.5]
        std = [127.5, 127.5, 127.5]
        resize = "stretch"
        [outputs]
        classes = "ArgMax"
        [head]
        kind = "segmentation"
        activation = "argmax"
        """
    )
    path = assets / "models" / "coral" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
    model = load_model(app.read_model(path, description=tmp_path / "d.toml"))
    seen = model(cv2.imread(str(photographs / "bird_segmentation.bmp")))
    true = cv2.imread(str(photographs / "bird_segmentation_mask.bmp"), cv2.IMREAD_UNCHANGED)
    bird = names.index("bird")
    said, is_bird = seen.class_ids == bird, true == bird
    assert (said & is_bird).sum() / (said | is_bird).sum() > 0.8
