"""Centroids of a coarse map against a slow flood, and what touching cells become."""

from __future__ import annotations

import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import centroids_float

from edge.decode.centroids import CentroidsDecoder, CentroidsHead
from edge.errors import ModelError
from edge.frame import Placement, StageClock
from edge.model.loaded import join
from edge.model.quant import Quant

pytestmark = pytest.mark.board


@given(drawn_grids.centroids(), st.floats(0, 1))
def test_grouping_equals_the_slow_flood(drawn, score_threshold):
    alone = centroids_float.candidates(drawn.heads, drawn.spec, score_threshold=score_threshold)
    assume(not drawn_grids.is_tied(alone, score_threshold))
    decoder = CentroidsDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=1000))
    drawn_grids.assert_finds(decoder, drawn.heads, alone)


@given(drawn_grids.centroids(), st.binary(min_size=1, max_size=4096), st.floats(0, 1))
def test_random_bytes_never_raise_or_warn_and_give_finite_boxes(drawn, data, score_threshold):
    heads = drawn_grids.heads_of_bytes(drawn.spec, data)
    decoder = CentroidsDecoder(drawn.spec, factories.thresholds(score_threshold, candidates=16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        boxes, scores, class_ids = drawn_grids.result(decoder, heads)
    drawn_grids.assert_sound(drawn.spec, boxes, scores=scores, class_ids=class_ids)


def test_touching_cells_of_a_class_are_one_detection_and_those_of_another_class_another():
    # As FOMO gives 96 x 96 pixels: cells of 8, channel 0 the background, a softmax as int8.
    spec = drawn_grids.spec_of(
        CentroidsHead(),
        {"cells": (1, 12, 12, 3)},
        classes=2,
        input_wh=(96, 96),
        dtype=np.dtype(np.int8),
        quant=Quant(1 / 256, -128),
    )
    cells = np.full((1, 12, 12, 3), -128, np.int8)
    cells[..., 0] = 127
    cells[0, 2, 3] = cells[0, 3, 4] = [-128, 60, -128]  # they touch by a corner
    cells[0, 3, 4, 1] = 100
    cells[0, 2, 4] = [-128, -128, 80]  # in between, of the other class
    cells[0, 11, 0] = [-128, 0, -128]  # 0.5, just enough
    cells[0, 0, 11] = [-128, -1, -128]
    decoder = CentroidsDecoder(spec, factories.thresholds(0.5))
    whole = Placement.fit((192, 96), (96, 96), resize="stretch")
    found = decoder.decode({"cells": cells}, whole, StageClock())
    assert found.class_ids.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.scores, [228 / 256, 208 / 256, 128 / 256])
    assert found.boxes.tolist() == [[48, 16, 80, 32], [64, 16, 80, 24], [0, 88, 16, 96]]


def test_a_map_that_does_not_fit_its_labels_is_refused():
    file = factories.model_file(
        manifest=factories.manifest(head=CentroidsHead(), outputs={"cells": "cells"}), anchors=None
    )
    image = factories.tensor("image", (1, factories.INPUT_WH[1], factories.INPUT_WH[0], 3))
    with pytest.raises(ModelError, match=r"3 labels and background need \(1, 2, 3, 4\)"):
        join(file, [image], [factories.tensor("cells", (1, 2, 3, 3))])
