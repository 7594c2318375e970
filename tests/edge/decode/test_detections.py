"""Ready detections against a slow float reference, in the orders that exporters write."""

from __future__ import annotations

import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import detections_float

from edge.decode.detections import DetectionsDecoder, DetectionsHead
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.model.description import Thresholds
from edge.model.loaded import join
from edge.model.quant import Quant

pytestmark = pytest.mark.board

FLOAT = {"dtype": np.dtype(np.float32), "quant": Quant()}
SEPARATE = {"boxes": (1, 5, 4), "scores": (1, 5), "classes": (1, 5), "count": (1,)}


def spec_of(shapes, *, classes=3, input_wh=(40, 20), **head):
    return drawn_grids.spec_of(
        DetectionsHead(**head), shapes, classes=classes, input_wh=input_wh, **FLOAT
    )


def seen(spec, heads, **thresholds):
    """Return the detections of a frame that fills the input."""
    size_wh = spec.description.input.size_wh
    placement = Placement.fit(size_wh, size_wh, resize="stretch")
    decoder = DetectionsDecoder(spec, Thresholds(0.5, 0.6, **thresholds))
    raw = {role: np.array(values, np.float32) for role, values in heads.items()}
    return decoder.decode(raw, placement, StageClock())


@given(drawn_grids.detections(), st.floats(0, 1))
def test_reading_equals_the_slow_float_reference(drawn, score_threshold):
    every = detections_float.candidates(drawn.heads, drawn.spec, score_threshold=0)
    assume(not drawn_grids.is_tied(every, score_threshold))
    decoder = DetectionsDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=64))
    expected = detections_float.candidates(drawn.heads, drawn.spec, score_threshold=score_threshold)
    drawn_grids.assert_finds(decoder, drawn.heads, expected)


@given(drawn_grids.detections(), st.binary(min_size=1, max_size=4096), st.floats(0, 1))
def test_random_bytes_never_raise_or_warn_and_give_finite_boxes(drawn, data, score_threshold):
    heads = drawn_grids.heads_of_bytes(drawn.spec, data)
    decoder = DetectionsDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, class_ids = drawn_grids.result(decoder, heads)
    drawn_grids.assert_sound(drawn.spec, boxes, scores=scores, class_ids=class_ids)


def test_rows_of_six_come_back_by_falling_score_and_are_not_suppressed_again():
    spec = spec_of({"rows": (1, 4, 6)})
    rows = [[0, 0, 9, 9, 0.6, 1], [0, 0, 9, 9, 0.9, 1], [1, 2, 3, 4, 0.4, 0], [5, 5, 8, 8, 0.7, 2]]
    found = seen(spec, {"rows": [rows]})
    np.testing.assert_allclose(found.scores, [0.9, 0.7, 0.6])
    assert found.class_ids.tolist() == [1, 2, 1]
    assert found.boxes.tolist() == [[0, 0, 9, 9], [5, 5, 8, 8], [0, 0, 9, 9]]


def test_rows_that_the_graph_left_overlapping_are_suppressed_here_where_the_head_says_so():
    spec = spec_of({"rows": (1, 3, 6)}, suppressed=False)
    rows = [[0, 0, 9, 9, 0.6, 1], [0, 0, 9, 9, 0.9, 1], [0, 0, 9, 9, 0.8, 2]]
    assert seen(spec, {"rows": [rows]}).class_ids.tolist() == [1, 2]


def test_the_four_outputs_of_the_detection_op_are_shares_with_y_first_and_a_count():
    spec = spec_of(SEPARATE, boxes="yxyx", units="ratios", first_class=1)
    heads = {
        "boxes": [[[0.25, 0.5, 0.75, 1.0]] * 5],
        "scores": [[0.9, 0.8, 0.7, 0.99, 0.99]],
        "classes": [[1, 3, 4, 1, 1]],  # the third has no label
        "count": [3],  # the rest is what the op left in its buffer
    }
    found = seen(spec, heads)
    assert found.class_ids.tolist() == [0, 2]
    assert found.boxes.tolist() == [[20, 5, 40, 15]] * 2


@pytest.mark.parametrize("count", [0, -1, np.nan])
def test_a_count_that_is_none_means_no_detections(count):
    heads = {"boxes": np.ones((1, 5, 4)), "scores": np.ones((1, 5)), "classes": np.ones((1, 5))}
    assert len(seen(spec_of(SEPARATE), heads | {"count": [count]})) == 0


def test_no_more_than_the_wanted_detections_stay_and_they_are_the_best():
    rows = [[0, 0, 9, 9, score, 1] for score in (0.6, 0.9, 0.7, 0.8)]
    found = seen(spec_of({"rows": (1, 4, 6)}), {"rows": [rows]}, max_detections=2)
    np.testing.assert_allclose(found.scores, [0.9, 0.8])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        pytest.param({"rows": (1, 9, 7)}, r"rows is \(1, 9, 7\).* need \(1, 9, 6\)", id="width"),
        pytest.param({"rows": (6,)}, r"rows is \(6,\), but 0 detections", id="no rows"),
        pytest.param(SEPARATE | {"scores": (1, 4)}, r"scores is \(1, 4\).*5 det", id="scores"),
        pytest.param(SEPARATE | {"count": (2,)}, r"count is \(2,\), .* need \(1,\)", id="count"),
        pytest.param({"boxes": (1, 5, 4), "scores": (1, 5)}, "boxes and classes", id="roles"),
    ],
)
def test_outputs_that_are_no_detections_are_refused(shapes, expected):
    spec = spec_of(shapes)
    file = factories.model_file(
        manifest=factories.manifest(head=DetectionsHead(), outputs={role: role for role in shapes}),
        anchors=None,
    )
    image = factories.tensor("image", (1, factories.INPUT_WH[1], factories.INPUT_WH[0], 3))
    with pytest.raises(ModelError, match=expected):
        join(file, [image], list(spec.outputs.values()))
