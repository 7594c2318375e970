"""Decode + suppress against TensorFlow Lite's own op, run by LiteRT on the same heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import factories
import numpy as np
import pytest

from edge.decode.ssd import SsdDecoder, SsdHead
from edge.decode.suppress import Suppressor
from edge.model.quant import Quant

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from reference.tflite_postprocess import TflitePostprocess

    from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

# Absent where tflite-runtime stands in for it; the schema and its packages come with it.
pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert: pip install ai-edge-litert")

ANCHORS, COLUMNS = 40, 4
CASES = 300
SCORE_THRESHOLD = 0.25
INPUT_WH = (256, 128)  # powers of two: pixels and normalised boxes round alike


def float_spec(anchors: NDArray[np.float32]) -> ModelSpec:
    described = {"dtype": np.dtype(np.float32), "quant": Quant()}
    return factories.ssd_spec(
        boxes=factories.tensor("raw_boxes", (1, ANCHORS, 4), **described),
        scores=factories.tensor("raw_scores", (1, ANCHORS, COLUMNS), **described),
        head=SsdHead(activation="none", box_scales=(8, 8, 4, 4)),
        input=factories.input_transform(size_wh=INPUT_WH),
        anchors=anchors,
    )


def ours(
    spec: ModelSpec, heads: dict[str, NDArray[Any]], *, iou_threshold: float, max_detections: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return boxes yxyx normalised, scores and class ids, as the op gives them."""
    capacity = ANCHORS * COLUMNS
    decoder = SsdDecoder(spec, factories.thresholds(SCORE_THRESHOLD, candidates=capacity))
    candidates = decoder.find(heads)
    rows = Suppressor(capacity).select(
        decoder.candidates.boxes[:candidates],
        decoder.candidates.scores[:candidates],
        decoder.candidates.class_ids[:candidates],
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )
    found = decoder.candidates
    boxes_yxyx = found.boxes[rows][:, (1, 0, 3, 2)] / np.float32(INPUT_WH[::-1] * 2)
    return boxes_yxyx, found.scores[rows], found.class_ids[rows]


def op(spec: ModelSpec, *, iou_threshold: float, max_detections: int) -> TflitePostprocess:
    # Imported here: without ai-edge-litert the module cannot be.
    from reference.tflite_postprocess import TflitePostprocess  # noqa: PLC0415

    return TflitePostprocess(
        spec,
        score_threshold=SCORE_THRESHOLD,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )


def by_score_and_box(
    result: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]],
) -> list[tuple[Any, ...]]:
    """Return the rows in one order; the op's own order of equal scores is left open."""
    boxes, scores, class_ids = result
    rows = zip(scores.tolist(), class_ids.tolist(), boxes.tolist(), strict=True)
    return sorted((-score, class_id, *box) for score, class_id, box in rows)


@pytest.mark.parametrize("iou_threshold", [0.25, 0.5, 1.0])
def test_exact_boxes_with_many_ties_survive_exactly_as_in_tensorflow_lite(
    iou_threshold: float,
) -> None:
    # Offsets of 0 and anchors in sixteenths: every quotient is exact or rounded alike, and
    # scores, corners and quotients coincide often.
    rng = np.random.default_rng(6)
    for _ in range(CASES // 10):
        sides = rng.integers(0, 9, (ANCHORS, 2)) / 16
        centers = rng.integers(4, 12, (ANCHORS, 2)) / 16
        spec = float_spec(np.concatenate([centers, sides], axis=1).astype(np.float32))
        options = {"iou_threshold": iou_threshold, "max_detections": ANCHORS * COLUMNS}
        theirs = op(spec, **options)
        for _ in range(10):
            heads = {
                "boxes": np.zeros((1, ANCHORS, 4), np.float32),
                "scores": (rng.integers(0, 9, (1, ANCHORS, COLUMNS)) / 8).astype(np.float32),
            }
            expected, found = theirs(heads), ours(spec, heads, **options)
            assert by_score_and_box(found) == by_score_and_box(expected)
            np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("max_detections", [ANCHORS * COLUMNS, 10])
def test_random_heads_survive_in_the_order_and_place_of_tensorflow_lite(
    max_detections: int,
) -> None:
    rng = np.random.default_rng(7)
    options = {"iou_threshold": 0.4, "max_detections": max_detections}
    survived = 0
    for _ in range(CASES // 10):
        spec = float_spec(rng.uniform(0.2, 0.8, (ANCHORS, 4)).astype(np.float32))
        theirs = op(spec, **options)
        for _ in range(10):
            heads = {
                "boxes": rng.normal(0, 2, (1, ANCHORS, 4)).astype(np.float32),
                "scores": rng.random((1, ANCHORS, COLUMNS)).astype(np.float32),
            }
            boxes, scores, class_ids = theirs(heads)
            found_boxes, found_scores, found_class_ids = ours(spec, heads, **options)
            np.testing.assert_array_equal(found_scores, scores)
            np.testing.assert_array_equal(found_class_ids, class_ids)
            np.testing.assert_allclose(found_boxes, boxes, rtol=0, atol=1e-6)
            survived += len(scores)
    # Some 90 of the 120 scores are candidates: many fall, and many stay.
    assert CASES * 10 <= survived < CASES * 70
