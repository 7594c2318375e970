"""Anchor-free decoding against a slow float reference, and at the edges of its buffers."""

from __future__ import annotations

import tracemalloc
import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import anchor_free_float

from edge.decode.anchor_free import AnchorFreeDecoder, AnchorFreeGrid, AnchorFreeHead
from edge.model.quant import Quant

pytestmark = pytest.mark.board

CLASSES = 3
FLOAT = {"dtype": np.dtype(np.float32), "quant": Quant()}


def spec_of(boxes="distances", *, side=4, bins=1, classes=CLASSES, objectness=False, **described):
    """Return a head of one square grid, 8 pixels a cell."""
    grid = AnchorFreeGrid(
        boxes="b", scores="s", objectness="o" if objectness else None, stride_px=8
    )
    cells = (1, side, side)
    shapes = {"b": (*cells, 4 * bins), "s": (*cells, classes)}
    if objectness:
        shapes["o"] = (*cells, 1)
    return drawn_grids.spec_of(
        AnchorFreeHead(grids=(grid,), boxes=boxes, bins=bins),
        shapes,
        classes=classes,
        input_wh=(side * 8, side * 8),
        **described,
    )


def one_candidate(spec, raw_box):
    """Return the heads of one certain candidate, class 1 at row 1, column 2."""
    heads = {role: np.full(tensor.shape, -9, tensor.dtype) for role, tensor in spec.outputs.items()}
    heads["s"][0, 1, 2, 1] = 9
    heads["b"][0, 1, 2] = raw_box
    if "o" in heads:
        heads["o"][0, 1, 2] = 9
    return heads


@given(drawn_grids.anchor_free(), st.floats(0, 1))
def test_decoding_equals_the_slow_float_reference(drawn, score_threshold):
    every = anchor_free_float.candidates(drawn.heads, drawn.spec, score_threshold=0)
    assume(not drawn_grids.is_tied(every, score_threshold))
    decoder = AnchorFreeDecoder(
        drawn.spec, factories.thresholds(score_threshold, candidates=drawn_grids.MAX_CANDIDATES)
    )
    passing = [each for each in every if each.score >= score_threshold]
    drawn_grids.assert_finds(decoder, drawn.heads, passing)


@given(drawn_grids.anchor_free(), st.binary(min_size=1, max_size=4096), st.floats(0, 1))
def test_random_bytes_never_raise_or_warn_and_give_finite_boxes(drawn, data, score_threshold):
    heads = drawn_grids.heads_of_bytes(drawn.spec, data)
    decoder = AnchorFreeDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, class_ids = drawn_grids.result(decoder, heads)
    drawn_grids.assert_sound(drawn.spec, boxes, scores=scores, class_ids=class_ids)


@pytest.mark.parametrize(
    ("boxes", "raw", "bins", "expected_px"),
    [
        pytest.param("distances", [1, 0.5, 2, 0.25], 1, [12, 8, 36, 14], id="distances"),
        pytest.param(
            "center_exp", [0.25, 0.5, np.log(2), np.log(3)], 1, [10, 0, 26, 24], id="center_exp"
        ),
        pytest.param(
            "distribution",
            [-99, 99, -99, 0, 0, -99, -99, -99, 99, 99, -99, -99],  # means 1, 0.5, 2, 0
            3,
            [12, 8, 36, 12],
            id="distribution",
        ),
    ],
)
@pytest.mark.parametrize("objectness", [False, True], ids=["classes alone", "objectness"])
def test_a_box_is_measured_in_strides_from_its_cell(boxes, raw, bins, expected_px, objectness):
    spec = spec_of(boxes, bins=bins, objectness=objectness, **FLOAT)
    decoder = AnchorFreeDecoder(spec, factories.thresholds(0.5))
    found, scores, class_ids = drawn_grids.result(decoder, one_candidate(spec, raw))
    assert class_ids.tolist() == [1]
    sure = anchor_free_float.sigmoid(9)
    np.testing.assert_allclose(scores, [sure**2 if objectness else sure], rtol=1e-6)
    np.testing.assert_allclose(found, [expected_px], atol=1e-4)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_a_score_on_the_threshold_passes_and_the_quantum_below_does_not(dtype):
    spec = spec_of(dtype=np.dtype(dtype), quant=Quant(0.06, 20))
    heads = {role: np.zeros(tensor.shape, tensor.dtype) for role, tensor in spec.outputs.items()}
    for raw in range(1, 100):
        real = anchor_free_float.real_values(np.array(raw), spec.outputs["s"])
        decoder = AnchorFreeDecoder(
            spec, factories.thresholds(anchor_free_float.sigmoid(float(real)))
        )
        heads["s"][:] = raw
        assert decoder.find(heads) == 4 * 4 * CLASSES
        heads["s"][:] = raw - 1
        assert decoder.find(heads) == 0


def test_of_equal_scores_in_several_grids_the_first_stay():
    grids = tuple(
        AnchorFreeGrid(boxes=f"b{stride}", scores=f"s{stride}", stride_px=stride)
        for stride in (8, 16)
    )
    shapes = {"b8": (1, 2, 2, 4), "s8": (1, 2, 2, 2), "b16": (1, 1, 1, 4), "s16": (1, 1, 1, 2)}
    spec = drawn_grids.spec_of(
        AnchorFreeHead(grids=grids, boxes="distances"),
        shapes,
        classes=2,
        input_wh=(16, 16),
        **FLOAT,
    )
    heads = {role: np.ones(shape, np.float32) for role, shape in shapes.items()}
    heads["s16"][..., 1] = 2
    decoder = AnchorFreeDecoder(spec, factories.thresholds(0.5, candidates=4))
    boxes, _, class_ids = drawn_grids.result(decoder, heads)
    assert class_ids.tolist() == [0, 1, 0, 1]
    assert boxes[:, 2].tolist() == [
        12,
        12,
        20,
        24,
    ]  # two of the first grid's cells, then the last's


def test_what_is_not_a_number_never_passes():
    spec = spec_of("distribution", bins=4, **FLOAT)
    heads = {role: np.zeros(tensor.shape, np.float32) for role, tensor in spec.outputs.items()}
    heads["s"][0, 0, 0] = np.nan
    heads["b"][0, 1, 1, 5] = np.nan
    heads["b"][0, 2, 2, 5] = np.inf
    decoder = AnchorFreeDecoder(spec, factories.thresholds(0.0))
    assert decoder.find(heads) == (4 * 4 - 3) * CLASSES


@pytest.mark.parametrize("objectness", [False, True], ids=["classes alone", "objectness"])
def test_decoding_takes_no_memory_that_grows_with_cells_times_classes(objectness):
    peaks_bytes = []
    for side in (16, 80):
        spec = spec_of("distribution", side=side, bins=16, classes=80, objectness=objectness)
        spec = drawn_grids.spec_of(
            spec.description.head,
            {role: tensor.shape for role, tensor in spec.outputs.items()},
            classes=80,
            input_wh=spec.description.input.size_wh,
            quant=Quant(0.1, 0),
        )
        heads = {
            role: np.full(tensor.shape, -128, np.int8) for role, tensor in spec.outputs.items()
        }
        heads["s"].reshape(-1, 80)[:100, 7] = 120
        if objectness:
            heads["o"].reshape(-1)[:100] = 120
        decoder = AnchorFreeDecoder(spec, factories.thresholds(0.5))
        decoder.find(heads)
        tracemalloc.start()
        before_bytes = tracemalloc.get_traced_memory()[0]
        assert decoder.find(heads) == 100
        peaks_bytes.append(tracemalloc.get_traced_memory()[1] - before_bytes)
        tracemalloc.stop()
    assert peaks_bytes[1] < peaks_bytes[0] + 1000
