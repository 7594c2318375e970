"""What stands beside the boxes is read from the cell that each survivor stood in."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from reference import anchor_free_float, yolo_float

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.checks import Misfit
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.per_box import BoxRows
from edge.decode.yolo import YoloHead
from edge.frame import Placement, StageClock
from edge.model.description import Thresholds
from edge.model.quant import Quant

pytestmark = pytest.mark.board

FLOAT = {"dtype": np.dtype(np.float32), "quant": Quant()}
WIDTH = 2


def numbered(drawn):
    """Return the roles beside the grids; a row holds the number of its box, and its square."""
    tensors, outputs, roles, first = {}, {}, [], 0
    for number, grid in enumerate(drawn.spec.description.head.grids):
        rows, columns = drawn.spec.outputs[grid.boxes].shape[1:3]
        anchors = len(getattr(grid, "anchors_px", "1"))
        numbers = first + np.arange(rows * columns * anchors, dtype=np.float32)
        role = f"extra{number}"
        shape = (1, rows, columns, anchors * WIDTH)
        tensors[role] = np.stack([numbers, numbers**2], axis=-1).reshape(shape)
        outputs[role] = factories.tensor(role, shape, **FLOAT)
        roles.append(role)
        first += len(numbers)
    spec = replace(drawn.spec, outputs={**drawn.spec.outputs, **outputs})
    return spec, drawn.heads | tensors, roles


@given(st.one_of(drawn_grids.anchor_free(), drawn_grids.yolo()), st.floats(0, 1))
def test_each_survivor_has_the_row_of_its_own_cell(drawn, iou):
    head = drawn.spec.description.head
    reference = yolo_float if isinstance(head, YoloHead) else anchor_free_float
    every = reference.candidates(drawn.heads, drawn.spec, score_threshold=0)
    classes = len(drawn.spec.description.labels)
    spec, tensors, roles = numbered(drawn)
    thresholds = Thresholds(0.0, iou, max_detections=20, max_candidates=drawn_grids.MAX_CANDIDATES)
    rows = BoxRows(spec, head, roles, width=WIDTH, thresholds=thresholds)
    assume(len(every) == rows.bounds[-1] * classes)  # no box of any cell is damaged
    wh = drawn.spec.description.input.size_wh
    seen, values = rows.decode(tensors, Placement.fit(wh, wh, resize="stretch"), StageClock())
    np.testing.assert_array_equal(values[:, 1], values[:, 0] ** 2)
    limits = np.array([*wh, *wh])
    for (cell, _), box, score, class_id in zip(
        values.tolist(), seen.boxes, seen.scores, seen.class_ids.tolist(), strict=True
    ):
        candidate = every[int(cell) * classes + class_id]
        assert candidate.score == pytest.approx(score, rel=1e-5)
        np.testing.assert_allclose(
            box, np.clip(candidate.box_xyxy, 0, limits), rtol=1e-5, atol=1e-3
        )


GRIDS = AnchorFreeHead(
    grids=tuple(AnchorFreeGrid(boxes=f"b{s}", scores=f"s{s}", stride_px=s) for s in (8, 16)),
    boxes="distances",
)
SHAPES = {
    "b8": (1, 2, 2, 4), "s8": (1, 2, 2, 1), "b16": (1, 1, 1, 4), "s16": (1, 1, 1, 1),
    "e8": (1, 2, 2, 3), "e16": (1, 1, 1, 3),
}  # fmt: skip


@pytest.mark.parametrize(
    ("roles", "shapes", "fault"),
    [
        pytest.param(
            ["e8", "e32"], {}, "names the output role e32, the description has b16", id="absent"
        ),
        pytest.param(
            ["e16", "e8"], {}, r"e16 is \(1, 1, 1, 3\), but its 4 boxes need 3", id="order"
        ),
        pytest.param(
            ["e8", "e16"], {"e8": (1, 3, 2, 2)}, "side by side in the last axis", id="shape"
        ),
        pytest.param(["e8"], {"e16": None}, "in 2 grids, the head names 1 outputs", id="number"),
        pytest.param(
            [], {"e8": None, "e16": None}, "only output, the description names b16", id="joint"
        ),
        pytest.param(["e8", "e16"], {"s8": (1, 2, 2, 9)}, "s8 is .* need", id="boxes"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_frame(roles, shapes, fault):
    shapes = {role: shape for role, shape in (SHAPES | shapes).items() if shape}
    spec = drawn_grids.spec_of(GRIDS, shapes, classes=1, input_wh=(16, 16))
    with pytest.raises(Misfit, match=fault):
        BoxRows(spec, GRIDS, roles, width=3, thresholds=factories.thresholds(0.5))


def test_an_output_of_a_dtype_that_no_decoder_reads_is_refused():
    spec = drawn_grids.spec_of(GRIDS, SHAPES, classes=1, input_wh=(16, 16))
    wide = factories.tensor("e8", SHAPES["e8"], dtype=np.dtype(np.int64))
    spec = replace(spec, outputs=spec.outputs | {"e8": wide})
    with pytest.raises(Misfit, match="output e8 is int64"):
        BoxRows(spec, GRIDS, ["e8", "e16"], width=3, thresholds=factories.thresholds(0.5))


@pytest.mark.parametrize(
    ("head", "is_turned"),
    [(DecodedHead(), False), (DecodedHead(), True), (DetectionsHead(), False)],
    ids=["rows", "columns", "end to end"],
)
def test_values_behind_the_boxes_are_the_last_channels(head, is_turned):
    labels = 2
    rows = np.zeros((9, 6 + WIDTH), np.float32)  # 4 of the box, 2 scores, or a score and a class
    rows[:, :4] = [[100 * number, 50, 30, 20] for number in range(1, 10)]
    if head.kind == "detections":
        rows[:, 2:4] += rows[:, :2]
    rows[[2, 7], 4] = 0.9, 0.8
    rows[:, 6:] = np.arange(18).reshape(9, 2)
    tensor = rows.T if is_turned else rows
    spec = drawn_grids.spec_of(
        head, {"rows": (1, *tensor.shape)}, classes=labels, input_wh=(1280, 640), **FLOAT
    )
    beside = BoxRows(spec, head, (), width=WIDTH, thresholds=factories.thresholds(0.5))
    whole = Placement.fit((1280, 640), (1280, 640), resize="stretch")
    seen, values = beside.decode({"rows": tensor[None]}, whole, StageClock())
    assert seen.boxes[:, 2].tolist() == ([315, 815] if head.kind == "decoded" else [330, 830])
    assert values.tolist() == [[4, 5], [14, 15]]


def test_nothing_made_for_a_frame_grows_with_the_columns_before_the_values():
    peaks_bytes = []
    for count in (100, 5000):
        shape = (1, 16, count)
        head = DecodedHead()
        spec = drawn_grids.spec_of(head, {"rows": shape}, classes=9, input_wh=(64, 64), **FLOAT)
        rows = BoxRows(spec, head, (), width=3, thresholds=factories.thresholds(0.5))
        tensors = {"rows": np.zeros(shape, np.float32)}
        tensors["rows"][0, :5, 7] = 20, 20, 9, 9, 0.9
        whole = Placement.fit((64, 64), (64, 64), resize="stretch")
        rows.decode(tensors, whole, StageClock())
        tracemalloc.start()
        assert len(rows.decode(tensors, whole, StageClock())[0]) == 1
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks_bytes[1] < peaks_bytes[0] + 2000


def test_too_few_channels_are_told_with_what_is_left():
    spec = drawn_grids.spec_of(DecodedHead(), {"rows": (1, 20, 8)}, classes=2, input_wh=(64, 64))
    with pytest.raises(Misfit, match=r"2 labels need .*, without the last 3 channels"):
        BoxRows(spec, DecodedHead(), (), width=3, thresholds=factories.thresholds(0.5))


@pytest.mark.parametrize(
    "head",
    [DecodedHead(), DecodedHead(objectness=True), DetectionsHead()],
    ids=["scores", "objectness", "end to end"],
)
def test_no_copy_is_made_of_rows_with_values_behind_them(head):
    made_bytes, peaks_bytes = [], []
    for count in (10_000, 20_000):  # of fewer, NumPy needs smaller buffers
        shape, classes = (1, count, 6 + 30), 2 - (head == DecodedHead(objectness=True))
        spec = drawn_grids.spec_of(
            head, {"rows": shape}, classes=classes, input_wh=(64, 64), **FLOAT
        )
        tensors = {"rows": np.zeros(shape, np.float32)}
        tensors["rows"][0, 7, :6] = 20, 20, 39, 39, 0.9, 1
        whole = Placement.fit((64, 64), (64, 64), resize="stretch")
        tracemalloc.start()
        rows = BoxRows(spec, head, (), width=30, thresholds=factories.thresholds(0.5))
        made_bytes.append(tracemalloc.get_traced_memory()[0])
        rows.decode(tensors, whole, StageClock())
        tracemalloc.stop()
        tracemalloc.start()
        assert len(rows.decode(tensors, whole, StageClock())[0])
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert made_bytes[1] - made_bytes[0] < 10_000 * 6 * 4
    assert peaks_bytes[1] < peaks_bytes[0] + 2000
