"""SSD decoding against a naive float reference, and at the edges of its thresholds and buffers."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import ssd_float

from edge.decode.scores import logit
from edge.decode.ssd import SsdDecoder, SsdHead
from edge.model.quant import Quant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

ANCHORS, COLUMNS = 30, 5
BOX_TOLERANCE_PX = 1e-4
FLOATS = (np.float16, np.float32)
# Quantisations as files have them: float32 scales, and zero points off the middle.
QUANTS = {
    "int8": (Quant(float(np.float32(0.07)), 5), Quant(float(np.float32(0.09)), 40)),
    "uint8": (Quant(float(np.float32(0.07)), 130), Quant(float(np.float32(0.09)), 170)),
    "int16": (Quant(2.0**-11, 0), Quant(2.0**-11, 0)),
    "float16": (Quant(), Quant()),
    "float32": (Quant(), Quant()),
}


def spec_of(dtype: str, *, scores_quant: Quant | None = None, **changes: Any) -> ModelSpec:
    """Return a detector whose two heads have this dtype."""
    boxes_quant, default_quant = QUANTS[dtype]
    described = {"dtype": np.dtype(dtype)}
    return factories.ssd_spec(
        boxes=factories.tensor("raw_boxes", (1, ANCHORS, 4), quant=boxes_quant, **described),
        scores=factories.tensor(
            "raw_scores",
            (1, ANCHORS, COLUMNS),
            quant=default_quant if scores_quant is None else scores_quant,
            **described,
        ),
        **changes,
    )


def random_heads(spec: ModelSpec, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Return heads that use the whole range of an integer dtype, or about ±6 of a float."""
    return {
        role: (rng.normal(0, 3, tensor.shape).astype(tensor.dtype))
        if tensor.dtype.kind == "f"
        else rng.integers(
            np.iinfo(tensor.dtype).min, np.iinfo(tensor.dtype).max, tensor.shape, tensor.dtype
        )
        for role, tensor in spec.outputs.items()
    }


def flat_heads(spec: ModelSpec, *, score: float) -> dict[str, NDArray[Any]]:
    """Return heads of which every score is this raw value, every offset 0."""
    return {
        role: np.full(tensor.shape, score if role == "scores" else 0, tensor.dtype)
        for role, tensor in spec.outputs.items()
    }


def decoded(
    spec: ModelSpec, heads: dict[str, NDArray[Any]], *, max_candidates: int = 1000, **options: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    decoder = SsdDecoder(
        spec, factories.thresholds(options.get("score_threshold", 0.5), candidates=max_candidates)
    )
    count = decoder.find(heads)
    found = decoder.candidates
    return found.boxes[:count], found.scores[:count], found.class_ids[:count]


@pytest.mark.parametrize("dtype", QUANTS)
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(SsdHead(box_scales=(10, 9, 5, 4)), id="sigmoid"),
        pytest.param(SsdHead(background=False), id="sigmoid, no background"),
        pytest.param(SsdHead(activation="none"), id="none"),
        pytest.param(SsdHead(activation="none", background=False), id="none, no background"),
    ],
)
@pytest.mark.parametrize("score_threshold", [0.0, 0.05, 0.5, 0.6, 0.93])
def test_decoding_equals_the_naive_float_reference(
    dtype: str, head: SsdHead, score_threshold: float
) -> None:
    is_activated = head.activation == "none"
    is_8_bit = dtype in ("int8", "uint8")
    probability = Quant(1 / 256, np.iinfo(dtype).min) if is_activated and is_8_bit else None
    spec = spec_of(dtype, head=head, scores_quant=probability)
    heads = random_heads(spec, np.random.default_rng(3))
    if is_activated and not is_8_bit:
        heads["scores"] = (heads["scores"] / np.abs(heads["scores"]).max()).astype(dtype)
    expected = ssd_float.candidates(heads, spec, score_threshold=score_threshold)
    boxes, scores, class_ids = decoded(spec, heads, score_threshold=score_threshold)
    np.testing.assert_array_equal(class_ids, [each.class_id for each in expected])
    np.testing.assert_allclose(scores, [each.score for each in expected], rtol=1e-6, atol=1e-30)
    expected_boxes = np.array([each.box_xyxy for each in expected]).reshape(-1, 4)
    np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-6, atol=BOX_TOLERANCE_PX)


def test_offsets_of_zero_give_the_anchor_in_input_pixels() -> None:
    anchors = np.tile(np.float32([0.5, 0.25, 0.5, 0.1]), (ANCHORS, 1))  # cy, cx, h, w
    spec = spec_of("float32", anchors=anchors)
    boxes, _, _ = decoded(spec, flat_heads(spec, score=1.0))
    width, height = factories.INPUT_WH
    np.testing.assert_allclose(
        boxes[0], [0.2 * width, 0.25 * height, 0.3 * width, 0.75 * height], rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_a_score_exactly_on_the_threshold_passes_and_the_quantum_below_does_not(dtype: str) -> None:
    spec = spec_of(dtype)
    quant = spec.outputs["scores"].quant
    info = np.iinfo(dtype)
    for q in range(max(quant.zero_point - 60, info.min + 1), min(quant.zero_point + 60, info.max)):
        threshold = ssd_float.sigmoid(float(quant.dequantize(np.array(q, dtype))))
        for raw, expected in ((q, ANCHORS * (COLUMNS - 1)), (q - 1, 0)):
            _, scores, _ = decoded(spec, flat_heads(spec, score=raw), score_threshold=threshold)
            assert len(scores) == expected, (q, raw)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_threshold_that_no_value_reaches_gives_zero_candidates(dtype: str) -> None:
    spec = spec_of(dtype)
    heads = flat_heads(spec, score=np.iinfo(dtype).max)
    assert len(decoded(spec, heads, score_threshold=0.9999999)[1]) == 0
    assert len(decoded(spec, heads, score_threshold=1.0)[1]) == 0


@pytest.mark.parametrize("dtype", QUANTS)
def test_no_score_above_the_threshold_gives_zero_candidates(dtype: str) -> None:
    spec = spec_of(dtype)
    lowest = np.iinfo(dtype).min if dtype not in ("float16", "float32") else -np.inf
    assert [len(part) for part in decoded(spec, flat_heads(spec, score=lowest))] == [0, 0, 0]


@pytest.mark.parametrize("dtype", QUANTS)
def test_the_background_column_is_never_a_candidate(dtype: str) -> None:
    spec = spec_of(dtype)
    heads = flat_heads(spec, score=np.iinfo(dtype).min if "int" in dtype else -9)
    heads["scores"][:, :, 0] = np.iinfo(dtype).max if "int" in dtype else 9
    assert len(decoded(spec, heads)[1]) == 0


@pytest.mark.parametrize("dtype", QUANTS)
@pytest.mark.parametrize("max_candidates", [1, 7, 70])
def test_beyond_the_capacity_the_best_stay_and_of_equals_the_first(
    dtype: str, max_candidates: int
) -> None:
    spec = spec_of(dtype)
    heads = random_heads(spec, np.random.default_rng(4))
    coarse = {"int8": 16, "uint8": 16, "int16": 4096, "float16": 2, "float32": 2}[dtype]
    heads["scores"] = (heads["scores"] // coarse * coarse).astype(dtype)  # many ties
    options = {"score_threshold": 0.001}
    everything = decoded(spec, heads, **options)
    raw = heads["scores"][0, :, 1:].reshape(-1)
    passing = [flat for flat in range(raw.size) if _passes(raw[flat], spec, 0.001)]
    assert len(passing) == len(everything[1])
    assert len(passing) > 70
    order = sorted(range(len(passing)), key=lambda row: (-float(raw[passing[row]]), row))
    best = sorted(order[:max_candidates])
    kept = decoded(spec, heads, max_candidates=max_candidates, **options)
    for found, whole in zip(kept, everything, strict=True):
        np.testing.assert_array_equal(found, whole[best])


def _passes(raw: Any, spec: ModelSpec, threshold: float) -> bool:
    value = float(ssd_float.real_values(np.array(raw), spec.outputs["scores"]))
    return ssd_float.sigmoid(value) >= threshold


@pytest.mark.parametrize("dtype", QUANTS)
def test_of_equal_scores_beyond_the_capacity_the_first_in_the_head_stay(dtype: str) -> None:
    spec = spec_of(dtype)
    heads = flat_heads(spec, score=np.iinfo(dtype).max if "int" in dtype else 2)
    boxes, scores, class_ids = decoded(spec, heads, max_candidates=10)
    assert class_ids.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert len(np.unique(scores)) == 1
    assert len(np.unique(boxes, axis=0)) == 3  # of the first three anchors


def test_saturated_float_heads_give_scores_of_one_and_finite_boxes() -> None:
    spec = spec_of("float32")
    heads = {
        role: np.full(tensor.shape, np.inf, np.float32) for role, tensor in spec.outputs.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, _ = decoded(spec, heads)
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert (scores == 1).all()
    assert np.isfinite(boxes).all()
    assert np.isfinite(areas).all()
    assert (areas > 0).all()


def test_zeros_of_both_signs_are_equal_scores_of_which_the_first_stays() -> None:
    spec = spec_of("float32")
    heads = flat_heads(spec, score=-5)
    heads["scores"][0, (3, 8, 9), (1, 2, 3)] = (-0.0, 0.0, -0.0)
    _, _, class_ids = decoded(spec, heads, max_candidates=1)
    assert class_ids.tolist() == [0]


def test_a_score_far_below_zero_decodes_to_zero_without_a_warning() -> None:
    spec = spec_of("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, scores, _ = decoded(spec, flat_heads(spec, score=-1000), score_threshold=0.0)
    assert len(scores) == ANCHORS * (COLUMNS - 1)
    assert (scores == 0).all()


def test_scores_of_a_graph_that_activates_them_never_leave_the_unit_interval() -> None:
    quant = Quant(float(np.nextafter(np.float32(1 / 255), np.float32(1))), -128)
    spec = spec_of("int8", head=SsdHead(activation="none"), scores_quant=quant)
    _, scores, _ = decoded(spec, flat_heads(spec, score=127))
    assert (scores == 1).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("score_threshold", [0.0, 0.5])
def test_a_score_that_is_not_a_number_never_passes(dtype: type, score_threshold: float) -> None:
    spec = spec_of(np.dtype(dtype).name)
    heads = flat_heads(spec, score=np.nan)
    heads["scores"][0, 2, 3] = 4
    _, scores, class_ids = decoded(spec, heads, score_threshold=score_threshold)
    assert scores == pytest.approx([ssd_float.sigmoid(4)])
    assert class_ids.tolist() == [2]


def test_a_box_that_is_not_a_number_is_dropped_and_the_others_close_up() -> None:
    spec = spec_of("float32")
    heads = flat_heads(spec, score=-5)
    heads["scores"][0, (3, 8, 9), 1] = (1, 2, 3)
    whole = decoded(spec, heads)
    heads["boxes"][0, 8, 2] = np.nan
    for found, before in zip(decoded(spec, heads), whole, strict=True):
        np.testing.assert_array_equal(found, before[[0, 2]])


def test_a_decoder_forgets_its_last_frame() -> None:
    spec = spec_of("int8")
    decoder = SsdDecoder(spec, factories.thresholds(0.5, candidates=50))
    rng = np.random.default_rng(5)
    decoder.find(random_heads(spec, rng))
    heads = random_heads(spec, rng)
    count = decoder.find(heads)
    fresh = decoded(spec, heads, max_candidates=50)
    found = decoder.candidates
    for buffer, expected in zip((found.boxes, found.scores, found.class_ids), fresh, strict=True):
        np.testing.assert_array_equal(buffer[:count], expected)
    assert decoder.find(flat_heads(spec, score=-128)) == 0


def test_decoding_takes_no_memory_that_grows_with_anchors_times_classes() -> None:
    anchors, columns = 1917, 91
    spec = factories.ssd_spec(
        boxes=factories.tensor("raw_boxes", (1, anchors, 4), quant=Quant(0.07, 5)),
        scores=factories.tensor("raw_scores", (1, anchors, columns), quant=Quant(0.09, 40)),
    )
    heads = flat_heads(spec, score=-128)
    heads["scores"][0, ::20, 1] = 127
    decoder = SsdDecoder(spec, factories.thresholds(0.5))
    decoder.find(heads)
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    assert decoder.find(heads) == 96
    peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    tracemalloc.stop()
    assert peak_bytes < 40_000 < anchors * columns  # a single flag for each score would be more


@given(st.floats(0, 1))
def test_logit_undoes_the_sigmoid(probability: float) -> None:
    value = logit(probability)
    if np.isfinite(value):
        assert ssd_float.sigmoid(value) == pytest.approx(probability, rel=1e-9)
    else:
        assert value == (-np.inf if probability == 0 else np.inf)
