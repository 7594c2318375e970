"""Boxes that the graph decoded against a slow float reference, in the layouts exporters write."""

from __future__ import annotations

import tracemalloc
import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import decoded_float

from edge.decode.decoded import DecodedDecoder, DecodedHead
from edge.errors import ModelError
from edge.model.loaded import join
from edge.model.quant import Quant

pytestmark = pytest.mark.board

FLOAT = {"dtype": np.dtype(np.float32), "quant": Quant()}
LABELS = len(factories.LABELS)


def spec_of(shapes, *, classes=3, input_wh=(40, 20), described=None, **head):
    return drawn_grids.spec_of(
        DecodedHead(**head), shapes, classes=classes, input_wh=input_wh, **(described or FLOAT)
    )


@given(drawn_grids.decoded(), st.floats(0, 1))
def test_reading_equals_the_slow_float_reference(drawn, score_threshold):
    every = decoded_float.candidates(drawn.heads, drawn.spec, score_threshold=0)
    assume(not drawn_grids.is_tied(every, score_threshold))
    decoder = DecodedDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=1000))
    expected = decoded_float.candidates(drawn.heads, drawn.spec, score_threshold=score_threshold)
    drawn_grids.assert_finds(decoder, drawn.heads, expected)


@given(drawn_grids.decoded(), st.binary(min_size=1, max_size=4096), st.floats(0, 1))
def test_random_bytes_never_raise_or_warn_and_give_finite_boxes(drawn, data, score_threshold):
    heads = drawn_grids.heads_of_bytes(drawn.spec, data)
    decoder = DecodedDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, class_ids = drawn_grids.result(decoder, heads)
    drawn_grids.assert_sound(drawn.spec, boxes, scores=scores, class_ids=class_ids)


@pytest.mark.parametrize("units", ["pixels", "ratios"])
@pytest.mark.parametrize("is_turned", [True, False], ids=["1, 84, N", "1, N, 84"])
def test_centre_and_sides_are_read_in_either_layout_and_unit(units, is_turned):
    shape = (1, 7, 5) if is_turned else (1, 5, 7)
    spec = spec_of({"rows": shape}, units=units)
    rows = np.zeros((5, 7), np.float32)
    rows[3] = [20, 10, 8, 4, 0.1, 0.9, 0.2]
    if units == "ratios":
        rows[3, :4] /= [40, 20, 40, 20]
    raw = rows.T[None] if is_turned else rows[None]
    boxes, scores, class_ids = drawn_grids.result(
        DecodedDecoder(spec, factories.thresholds(0.5)), {"rows": np.ascontiguousarray(raw)}
    )
    np.testing.assert_allclose(boxes, [[16, 8, 24, 12]], rtol=1e-6)
    np.testing.assert_allclose(scores, [0.9])
    assert class_ids.tolist() == [1]


def test_bytes_of_one_scale_for_boxes_and_scores_are_compared_as_they_are():
    described = {"dtype": np.dtype(np.uint8), "quant": Quant(1 / 255, 0)}
    spec = spec_of({"rows": (1, 4, 7)}, units="ratios", described=described)
    rows = np.zeros((1, 4, 7), np.uint8)
    rows[0, 2] = [128, 128, 51, 102, 127, 128, 0]  # 127 / 255 is below 0.5, 128 / 255 above
    boxes, _, class_ids = drawn_grids.result(
        DecodedDecoder(spec, factories.thresholds(0.5)), {"rows": rows}
    )
    assert class_ids.tolist() == [1]
    np.testing.assert_allclose(boxes, [[16.08, 6.04, 24.08, 14.04]], atol=0.01)


def test_a_head_whose_boxes_are_one_to_one_is_not_suppressed():
    rows = np.zeros((1, 2, 7), np.float32)
    rows[0] = [20, 10, 8, 4, 0.9, 0, 0]
    for is_suppressed, count in ((True, 2), (False, 1)):
        spec = spec_of({"rows": (1, 2, 7)}, suppressed=is_suppressed)
        decoder = DecodedDecoder(spec, factories.thresholds(0.5))
        decoder.find({"rows": rows})
        assert decoder.candidates.suppress() == count


@pytest.mark.parametrize("is_turned", [True, False], ids=["1, 84, N", "1, N, 84"])
@pytest.mark.parametrize("objectness", [True, False], ids=["objectness", "scores alone"])
def test_decoding_takes_no_memory_that_grows_with_rows_times_classes(is_turned, objectness):
    peaks_bytes = []
    width = 84 + objectness
    for count in (256, 8400):
        shape = (1, width, count) if is_turned else (1, count, width)
        described = {"dtype": np.dtype(np.int8), "quant": Quant(1 / 255, -128)}
        spec = spec_of({"rows": shape}, classes=80, objectness=objectness, described=described)
        heads = {"rows": np.full(shape, -128, np.int8)}
        rows = heads["rows"][0].T if is_turned else heads["rows"][0]
        rows[:100, [4, 20]] = 127
        decoder = DecodedDecoder(spec, factories.thresholds(0.5))
        decoder.find(heads)
        tracemalloc.start()
        before_bytes = tracemalloc.get_traced_memory()[0]
        assert decoder.find(heads) == (100 if objectness else 200)
        peaks_bytes.append(tracemalloc.get_traced_memory()[1] - before_bytes)
        tracemalloc.stop()
    assert peaks_bytes[1] < peaks_bytes[0] + 1000


@pytest.mark.parametrize(
    ("shapes", "head", "expected"),
    [
        pytest.param(
            {"rows": (1, 9, 8)},
            {},
            r"rows is \(1, 9, 8\), but 3 labels need \(1, N, 7\)",
            id="width",
        ),
        pytest.param({"rows": (1, 7, 7)}, {}, r"rows or columns of 7, both are", id="both"),
        pytest.param({"rows": (1, 0, 7)}, {}, r"rows is \(1, 0, 7\)", id="none"),
        pytest.param({"rows": (1, 1, 9, 7)}, {}, r"rows is \(1, 1, 9, 7\)", id="axes"),
        pytest.param(
            {"boxes": (1, 9, 4), "scores": (1, 3, 8)}, {}, "a row of scores for each", id="counts"
        ),
        pytest.param({"boxes": (1, 9, 4)}, {}, "output roles boxes and scores", id="roles"),
        pytest.param(
            {"rows": (1, 9, 7)}, {"strides_px": (8,)}, "cxcywh with strides", id="strides"
        ),
        pytest.param(
            {"rows": (1, 9, 7)},
            {"boxes": "center_exp", "strides_px": (8, 16)},
            "make 8 cells of the input, the outputs have 9 rows",
            id="cells",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_refused(shapes, head, expected):
    head = DecodedHead(**head)
    file = factories.model_file(
        manifest=factories.manifest(head=head, outputs={role: role for role in shapes}),
        anchors=None,
    )
    outputs = [factories.tensor(role, shape) for role, shape in shapes.items()]
    image = factories.tensor("image", (1, factories.INPUT_WH[1], factories.INPUT_WH[0], 3))
    with pytest.raises(ModelError, match=expected):
        join(file, [image], outputs)
