"""YOLO decoding against a slow float reference, and at the edges of thresholds and buffers."""

from __future__ import annotations

import tracemalloc
import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import yolo_float

from edge.decode.selection import CHUNK_CELLS
from edge.decode.yolo import YoloDecoder, YoloGrid, YoloHead
from edge.model.quant import Quant

pytestmark = pytest.mark.board

CLASSES = 3
ANCHORS_PX = ((10.0, 14.0), (23.0, 27.0))
COMBINED = YoloGrid(boxes="raw", objectness="raw", scores="raw", anchors_px=ANCHORS_PX)
SEPARATE = YoloGrid(boxes="b", objectness="o", scores="s", anchors_px=ANCHORS_PX)


def combined_spec(shape_hw=(2, 3), *, head=None, classes=CLASSES, **described):
    """Return a head of one grid in one role; an input of 8 pixels a cell."""
    rows, columns = shape_hw
    return drawn_grids.spec_of(
        head or YoloHead(grids=(COMBINED,)),
        {"raw": (1, rows, columns, len(ANCHORS_PX) * (5 + classes))},
        classes=classes,
        input_wh=(columns * 8, rows * 8),
        **{"dtype": np.dtype(np.float32), "quant": Quant()} | described,
    )


def separate_spec(shape_hw=(2, 3), **described):
    """Return the same head in three roles."""
    anchors = len(ANCHORS_PX)
    cells = (1, *shape_hw)
    return drawn_grids.spec_of(
        YoloHead(grids=(SEPARATE,)),
        {"b": (*cells, anchors * 4), "o": (*cells, anchors), "s": (*cells, anchors * CLASSES)},
        classes=CLASSES,
        input_wh=(shape_hw[1] * 8, shape_hw[0] * 8),
        **described,
    )


def empty_heads(spec, value):
    return {
        role: np.full(spec.outputs[role].shape, value, spec.outputs[role].dtype)
        for role in spec.outputs
    }


@given(drawn_grids.yolo(), st.floats(0, 1))
def test_decoding_equals_the_slow_float_reference(drawn, score_threshold):
    every = yolo_float.candidates(drawn.heads, drawn.spec, score_threshold=0)
    assume(not drawn_grids.is_tied(every, score_threshold))
    decoder = YoloDecoder(
        drawn.spec, factories.thresholds(score_threshold, candidates=drawn_grids.MAX_CANDIDATES)
    )
    passing = [each for each in every if each.score >= score_threshold]
    drawn_grids.assert_finds(decoder, drawn.heads, passing)


@given(drawn_grids.yolo(), st.floats(0, 0.5), st.integers(1, 40))
def test_beyond_the_capacity_the_best_stay_and_of_equals_the_first(drawn, threshold, capacity):
    assume(all(np.isfinite(raw).all() for raw in drawn.heads.values()))
    everything = drawn_grids.result(
        YoloDecoder(drawn.spec, factories.thresholds(threshold, candidates=1000)), drawn.heads
    )
    best = np.sort(np.argsort(-everything[1], kind="stable")[:capacity])
    few = YoloDecoder(drawn.spec, factories.thresholds(threshold, candidates=capacity))
    for found, expected in zip(drawn_grids.result(few, drawn.heads), everything, strict=True):
        np.testing.assert_array_equal(found, expected[best])


@given(drawn_grids.yolo(), st.binary(min_size=1, max_size=4096), st.floats(0, 1))
def test_random_bytes_never_raise_or_warn_and_give_finite_boxes(drawn, data, score_threshold):
    heads = drawn_grids.heads_of_bytes(drawn.spec, data)
    decoder = YoloDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, class_ids = drawn_grids.result(decoder, heads)
    drawn_grids.assert_sound(drawn.spec, boxes, scores=scores, class_ids=class_ids)


def test_zero_offsets_stand_in_the_middle_of_the_cell_with_the_anchors_sides():
    spec = combined_spec()
    heads = empty_heads(spec, -9)
    row, column, anchor = 1, 2, 1
    cell = heads["raw"].reshape(2, 3, 2, 5 + CLASSES)[row, column, anchor]
    cell[:4] = 0
    cell[4:] = [20, -9, 20, -9]
    boxes, scores, class_ids = drawn_grids.result(
        YoloDecoder(spec, factories.thresholds(0.5)), heads
    )
    center_x, center_y = (column + 0.5) * 8, (row + 0.5) * 8
    assert class_ids.tolist() == [1]
    assert scores.tolist() == [1.0]
    np.testing.assert_allclose(
        boxes, [[center_x - 11.5, center_y - 13.5, center_x + 11.5, center_y + 13.5]]
    )


def test_a_grid_that_does_not_divide_the_input_has_cells_of_a_fraction_of_pixels():
    spec = drawn_grids.spec_of(
        YoloHead(grids=(COMBINED,)),
        {"raw": (1, 3, 3, 2 * (5 + CLASSES))},
        classes=CLASSES,
        input_wh=(100, 50),
        dtype=np.dtype(np.float32),
        quant=Quant(),
    )
    boxes, _, _ = drawn_grids.result(
        YoloDecoder(spec, factories.thresholds(0.2)), empty_heads(spec, 0.0)
    )
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(centers[-1], [2.5 * 100 / 3, 2.5 * 50 / 3], rtol=1e-6)


def test_every_class_of_a_cell_that_reaches_the_threshold_is_a_candidate():
    spec = combined_spec()
    heads = empty_heads(spec, -9)
    heads["raw"].reshape(2, 3, 2, 5 + CLASSES)[0, 1, 0, 4:] = [9, 3, -3, 2]
    _, scores, class_ids = drawn_grids.result(YoloDecoder(spec, factories.thresholds(0.5)), heads)
    assert class_ids.tolist() == [0, 2]
    expected = [yolo_float.sigmoid(9) * yolo_float.sigmoid(value) for value in (3, 2)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_score_on_the_threshold_passes_for_every_pair_of_quanta(dtype):
    described = {"dtype": np.dtype(dtype), "quant": Quant(0.06, 20 if dtype == "int8" else 140)}
    spec = separate_spec((16, 8), **described)  # 256 cells: every quantum of objectness
    every = np.arange(256, dtype=np.uint8).view(dtype)
    heads = empty_heads(spec, 0)
    heads["o"] = every.reshape(spec.outputs["o"].shape)
    real = yolo_float.real_values(every, spec.outputs["o"]).astype(np.float32)
    sigmoids = 1 / (1 + np.exp(-real))  # (256,)
    for raw in range(0, 256, 5):
        heads["s"][:] = every[raw]
        for objectness in range(0, 256, 17):
            threshold = float(sigmoids[objectness] * sigmoids[raw])
            decoder = YoloDecoder(spec, factories.thresholds(threshold, candidates=1000))
            expected = CLASSES * int((sigmoids * sigmoids[raw] >= np.float32(threshold)).sum())
            assert decoder.find(heads) == expected, (raw, objectness)


@pytest.mark.parametrize("classes", ["sigmoid", "softmax"])
def test_what_is_not_a_number_never_passes(classes):
    head = YoloHead(grids=(COMBINED,), classes=classes)
    spec = combined_spec(head=head)
    heads = empty_heads(spec, 0.0)
    cells = heads["raw"].reshape(-1, 5 + CLASSES)
    cells[0, 4] = np.nan
    cells[1, 5:] = np.nan
    cells[2, 3] = np.nan
    boxes, scores, _ = drawn_grids.result(YoloDecoder(spec, factories.thresholds(0.0)), heads)
    assert len(scores) == (len(cells) - 3) * CLASSES
    assert np.isfinite(boxes).all()


def test_a_threshold_that_no_pair_reaches_gives_zero_candidates():
    spec = combined_spec(dtype=np.dtype(np.int8), quant=Quant(0.02, 0))
    assert YoloDecoder(spec, factories.thresholds(0.9)).find(empty_heads(spec, 127)) == 0


def test_more_passing_cells_than_a_chunk_give_what_the_reference_gives():
    side = int(CHUNK_CELLS**0.5) + 2
    spec = combined_spec((side, side), dtype=np.dtype(np.int8), quant=Quant(0.05, 10))
    heads = drawn_grids.random_heads(spec, np.random.default_rng(1))
    expected = yolo_float.candidates(heads, spec, score_threshold=0.0123)
    assert len(expected) > CHUNK_CELLS
    decoder = YoloDecoder(spec, factories.thresholds(0.0123, candidates=20_000))
    drawn_grids.assert_finds(decoder, heads, expected)


def test_a_decoder_forgets_its_last_frame():
    spec = separate_spec(quant=Quant(0.05, 10))
    decoder = YoloDecoder(spec, factories.thresholds(0.5, candidates=5))
    rng = np.random.default_rng(5)
    decoder.find(drawn_grids.random_heads(spec, rng))
    heads = drawn_grids.random_heads(spec, rng)
    fresh = drawn_grids.result(YoloDecoder(spec, factories.thresholds(0.5, candidates=5)), heads)
    for found, expected in zip(drawn_grids.result(decoder, heads), fresh, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert decoder.find(empty_heads(spec, -128)) == 0


@pytest.mark.parametrize("classes", ["sigmoid", "softmax"])
def test_decoding_takes_no_memory_that_grows_with_cells_times_classes(classes):
    peaks_bytes = []
    for side in (16, 80):
        spec = combined_spec(
            (side, side),
            head=YoloHead(grids=(COMBINED,), classes=classes),
            classes=80,
            dtype=np.dtype(np.int8),
            quant=Quant(0.1, 0),
        )
        heads = empty_heads(spec, -128)
        heads["raw"].reshape(-1, 85)[:100, [4, 20]] = 120
        decoder = YoloDecoder(spec, factories.thresholds(0.5))
        decoder.find(heads)
        tracemalloc.start()
        before_bytes = tracemalloc.get_traced_memory()[0]
        assert decoder.find(heads) == 100
        peaks_bytes.append(tracemalloc.get_traced_memory()[1] - before_bytes)
        tracemalloc.stop()
    assert peaks_bytes[1] < peaks_bytes[0] + 1000


def test_a_threshold_of_zero_lets_a_score_of_zero_pass():
    spec = combined_spec()
    heads = empty_heads(spec, -1000.0)
    decoder = YoloDecoder(spec, factories.thresholds(0.0, candidates=100))
    _, scores, _ = drawn_grids.result(decoder, heads)
    assert scores.tolist() == [0.0] * (2 * 3 * 2 * CLASSES)


def test_a_class_beyond_the_greatest_quantum_is_not_reached_by_it():
    described = {"dtype": np.dtype(np.int16), "quant": Quant(2.0**-14, 0)}
    spec = combined_spec(**described)
    heads = empty_heads(spec, 32767)  # of a real value just below 2
    reached = yolo_float.sigmoid(2 - 2.0**-14) ** 2
    for threshold, expected in ((reached - 1e-6, 2 * 3 * 2 * CLASSES), (reached + 1e-6, 0)):
        decoder = YoloDecoder(spec, factories.thresholds(threshold, candidates=100))
        assert decoder.find(heads) == expected
