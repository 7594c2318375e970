"""Which anchor learns which object, against a slow reference, and back through the decoder."""

import factories
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import training_slow as slow

from converter.train.anchors import clustered, laid_out, paper_sides, shape_iou
from converter.train.matching import Labels, matched, yolo_cells
from edge.decode.ssd import SsdDecoder, SsdHead
from edge.decode.yolo import YoloGrid
from edge.model.default import default_model_path
from edge.model.description import Thresholds
from edge.model.model_file import read_own
from edge.model.quant import Quant
from edge.model.spec import ModelSpec

SIZE_WH = (64, 48)
SCALES = np.array([10, 10, 5, 5], np.float32)
ANCHORS = laid_out([(3, 4), (2, 2)], [[(0.3, 0.2), (0.5, 0.4)], [(0.8, 0.9)]])


def corners(anchors):
    """Return anchors (cy, cx, h, w) as xyxy pixels."""
    cy, cx, h, w = anchors.astype(np.float64).T
    sides = np.array([*SIZE_WH, *SIZE_WH])
    return np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1) * sides


@st.composite
def objects(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    count = draw(st.integers(0, 4))
    low = rng.uniform(0, 0.8, (count, 2)) * SIZE_WH
    high = np.minimum(low + rng.uniform(2, 40, (count, 2)), SIZE_WH)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    overlaps = [slow.iou(box, one) for box in boxes.tolist() for one in corners(ANCHORS).tolist()]
    real = np.sort([0.5, *(value for value in overlaps if value > 0)])
    assume(np.diff(real).min(initial=1) > 1e-5)  # which of two equals goes first, nobody says
    return Labels(boxes, rng.integers(0, 5, count).astype(np.int32), np.zeros(count, np.bool_))


@given(objects())
def test_each_anchor_learns_what_the_reference_says(labels):
    found = matched(labels, anchors=ANCHORS, scales=SCALES, size_wh=SIZE_WH)
    owner = slow.matches(labels.boxes.tolist(), corners(ANCHORS).tolist())
    expected = [labels.class_ids[row] if row >= 0 else -1 for row in owner]
    np.testing.assert_array_equal(found["classes"], expected)


@given(objects())
def test_what_an_anchor_should_give_decodes_to_its_object(labels):
    found = matched(labels, anchors=ANCHORS, scales=SCALES, size_wh=SIZE_WH)
    taken = found["classes"] >= 0
    count = len(ANCHORS)
    outputs = {
        "boxes": factories.tensor("boxes", (1, count, 4), dtype=np.dtype("float32"), quant=Quant()),
        "scores": factories.tensor(
            "scores", (1, count, 5), dtype=np.dtype("float32"), quant=Quant()
        ),
    }
    manifest = factories.manifest(
        head=SsdHead(background=False),
        outputs={"boxes": "boxes", "scores": "scores"},
        labels=tuple("abcde"),
        input=factories.input_transform(size_wh=SIZE_WH),
    )
    spec = ModelSpec(
        manifest.description(ANCHORS), factories.tensor("image", (1, 48, 64, 3)), outputs
    )
    decoder = SsdDecoder(spec, Thresholds(0.5, 0.6, max_detections=100))
    scores = np.where(np.arange(5) == found["classes"][:, None], 4, -4).astype(np.float32)
    decoder.find({"boxes": found["offsets"][None], "scores": scores[None]})
    boxes = decoder.candidates.boxes[: taken.sum()]
    near = [max((slow.iou(box, one) for one in labels.boxes.tolist()), default=0) for box in boxes]
    assert all(value > 0.999 for value in near)


def test_a_crowd_is_neither_learnt_nor_punished():
    box = corners(ANCHORS)[[0]].astype(np.float32)
    labels = Labels(box, np.zeros(1, np.int32), np.ones(1, np.bool_))
    found = matched(labels, anchors=ANCHORS, scales=SCALES, size_wh=SIZE_WH)
    assert found["classes"][0] == -2
    assert (found["classes"] < 0).all()


def test_the_papers_anchors_are_those_of_the_shipped_model():
    sides = [(side, side) for side in (19, 10, 5, 3, 2, 1)]
    shipped = read_own(default_model_path()).description.anchors
    np.testing.assert_allclose(laid_out(sides, paper_sides(6)), shipped, atol=1e-3)


def test_k_means_finds_the_sizes_that_boxes_were_drawn_about():
    rng = np.random.default_rng(3)
    true = np.array([(8.0, 12.0), (30.0, 20.0), (70.0, 90.0)])
    boxes = np.concatenate([one * rng.uniform(0.9, 1.1, (40, 2)) for one in true])
    found = clustered(boxes, 3, seed=0)
    assert np.diag(shape_iou(found, true)).min() > 0.9
    assert len(clustered(boxes[:2], 6, seed=0)) == 6  # fewer boxes than centres


def test_a_yolo_object_is_learnt_by_the_anchor_of_its_shape_and_others_nearly_alike():
    roles = {"boxes": "b", "objectness": "o", "scores": "s"}
    grids = (
        YoloGrid(**roles, anchors_px=((40, 40), (44, 40))),
        YoloGrid(**roles, anchors_px=((8, 8), (10, 20))),
    )
    boxes = np.array([[10, 10, 50, 50], [0, 0, 8, 9]], np.float32)
    labels = Labels(boxes, np.array([2, 1], np.int32), np.zeros(2, np.bool_))
    found = yolo_cells(labels, grids=grids)
    assert found["ids"][:3].tolist() == [2, 1, -1]
    assert found["owners"][0].tolist() == [[0, 0], [0, 1], [-1, -1]]
    assert found["owners"][1].tolist() == [[1, 0], [-1, -1], [-1, -1]]
