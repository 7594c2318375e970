"""Instance masks against a slow float reference, cell by cell."""

from __future__ import annotations

import tracemalloc
import warnings
from dataclasses import replace

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import instance_float
from reference.float_heads import real_values

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.box_masks import BoxMasksHead
from edge.decode.checks import Misfit
from edge.decode.detections import DetectionsHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.ssd import SsdHead
from edge.frame import Placement, StageClock
from edge.heads import HEADS
from edge.model.description import Thresholds
from edge.model.quant import Quant
from edge.model.spec import ModelSpec

pytestmark = pytest.mark.board

INPUT_WH = (48, 32)
GRID = AnchorFreeGrid(boxes="b", scores="s", stride_px=16)
BOXES = AnchorFreeHead(grids=(GRID,), boxes="distances")
HEAD = PrototypeMasksHead(boxes=BOXES, coefficients=("c",))
PLACEMENTS = [
    Placement.fit(source, INPUT_WH, resize=resize)
    for source, resize in [
        ((48, 32), "stretch"), ((640, 480), "letterbox"), ((31, 57), "letterbox"),
        ((5, 9), "stretch"), ((1920, 20), "letterbox"),
    ]
]  # fmt: skip
QUANTS = {
    "int8": (Quant(0.02, 7), Quant(0.031, -20)),
    "uint8": (Quant(0.02, 130), Quant(0.031, 90)),
    "int16": (Quant(2e-4, 0), Quant(1e-4, 300)),
    "float16": (Quant(), Quant()),
    "float32": (Quant(), Quant()),
}


def prototypes_spec(dtype="int8", *, channels=3, shape=(8, 12), input_wh=INPUT_WH):
    """Return one grid of boxes, their coefficients, and prototypes."""
    cells = (1, input_wh[1] // 16, input_wh[0] // 16)
    shapes = {
        "b": (*cells, 4), "s": (*cells, 2), "c": (*cells, channels),
        "prototypes": (1, *shape, channels),
    }  # fmt: skip
    spec = drawn_grids.spec_of(
        HEAD, shapes, classes=2, input_wh=input_wh, dtype=np.dtype(np.float32), quant=Quant()
    )
    for role, quant in zip(("c", "prototypes"), QUANTS[dtype], strict=True):
        spec.outputs[role] = factories.tensor(
            role, shapes[role], dtype=np.dtype(dtype), quant=quant
        )
    return spec


def decoder_of(spec, score=0.4, *, max_detections=10):
    thresholds = Thresholds(score, 0.6, max_detections=max_detections)
    HEADS[spec.description.head.kind].check(spec)
    return HEADS[spec.description.head.kind].decoder(spec, thresholds)


def cells_of(mask, placement, counts):
    """Return (row, column) of the whole grid to whether it belongs, of each cell of a mask."""
    left, top, right, bottom = instance_float.frame_cells(placement, counts)
    first_column = round(mask.box[0] * (right - left) / placement.source_wh[0]) + left
    first_row = round(mask.box[1] * (bottom - top) / placement.source_wh[1]) + top
    return {
        (first_row + row, first_column + column): bool(value)
        for (row, column), value in np.ndenumerate(mask.cells)
    }


@given(
    st.sampled_from(list(QUANTS)), st.sampled_from(PLACEMENTS), st.integers(0, 2**32),
    st.sampled_from([(8, 12), (1, 1), (70, 9)]),
)  # fmt: skip
def test_masks_equal_the_slow_float_reference(dtype, placement, seed, shape):
    spec = prototypes_spec(dtype, shape=shape)
    tensors = drawn_grids.random_heads(spec, np.random.default_rng(seed))
    # Which cell a survivor stood in is `test_per_box`'s to ask: here all have one row.
    tensors["c"][:] = tensors["c"][0, 0, 0]
    seen = decoder_of(spec).decode(tensors, placement, StageClock())
    coefficients = real_values(tensors["c"], spec.outputs["c"])[0, 0, 0].tolist()
    prototypes = real_values(tensors["prototypes"], spec.outputs["prototypes"])
    counts = shape[1], shape[0]
    for box, mask in zip(seen.boxes.tolist(), seen.masks, strict=True):
        found = cells_of(mask, placement, counts)
        assert found.keys() == instance_float.cells_in(box, placement, counts)
        for cell, value in found.items():
            total, size = instance_float.mask_sum(coefficients, prototypes, cell)
            assert value == (total > 0) or abs(total) <= 1e-5 * (size + 1)


@pytest.mark.parametrize("dtype", QUANTS)
def test_prototypes_with_their_channels_first_give_the_same_masks(dtype):
    spec = prototypes_spec(dtype)
    tensors = drawn_grids.random_heads(spec, np.random.default_rng(1))
    head = spec.description.head.replace(channels_first=True)
    output = replace(spec.outputs["prototypes"], shape=(1, 3, 8, 12))
    turned = replace(
        spec,
        description=replace(spec.description, head=head),
        outputs=spec.outputs | {"prototypes": output},
    )
    planes = np.ascontiguousarray(tensors["prototypes"].transpose(0, 3, 1, 2))
    seen = decoder_of(spec).decode(tensors, PLACEMENTS[0], StageClock())
    again = decoder_of(turned).decode(tensors | {"prototypes": planes}, PLACEMENTS[0], StageClock())
    assert len(seen.masks)
    for mask, other in zip(seen.masks, again.masks, strict=True):
        np.testing.assert_array_equal(mask.cells, other.cells)


def test_a_mask_lies_on_its_own_part_of_the_frame_and_is_where_the_prototype_says():
    spec = prototypes_spec("float32", channels=1, shape=(8, 12))
    tensors = {role: np.full(each.shape, -9, np.float32) for role, each in spec.outputs.items()}
    tensors["s"][0, 0, 1, 1] = 9
    tensors["b"][0, 0, 1] = 0.5  # in strides: x 16 to 32, y 0 to 16
    tensors["c"][:] = 2
    tensors["prototypes"][0, 1:3, 5:6] = 1  # of cells of 4 x 4 pixels
    seen = decoder_of(spec).decode(tensors, PLACEMENTS[0], StageClock())
    (instance,) = seen
    assert instance.box == (16, 0, 32, 16)
    assert instance.mask.box == (16, 0, 32, 16)
    assert np.argwhere(instance.mask.cells).tolist() == [[1, 1], [2, 1]]
    assert instance.mask.area_px == 2 * 4 * 4


@given(st.binary(min_size=1, max_size=4096), st.sampled_from(list(QUANTS)))
def test_random_bytes_never_raise_or_warn(data, dtype):
    spec = prototypes_spec(dtype)
    heads = drawn_grids.heads_of_bytes(spec, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = decoder_of(spec, 0.1).decode(heads, PLACEMENTS[1], StageClock())
    assert all(min(mask.cells.shape) >= 1 for mask in seen.masks)


def test_nothing_made_for_a_frame_grows_with_the_prototypes():
    peaks_bytes = []
    for side in (256, 512):  # where what NumPy converts in one go, 8,192 numbers, is reached
        spec = prototypes_spec(shape=(side, side), channels=8)
        tensors = drawn_grids.random_heads(spec, np.random.default_rng(1))
        tensors["b"][:], tensors["s"][:] = 3, 2  # boxes of two classes, all over the frame
        decoder = decoder_of(spec)
        assert len(decoder.decode(tensors, PLACEMENTS[0], StageClock())) == 6
        tracemalloc.start()
        before_bytes = tracemalloc.get_traced_memory()[0]
        decoder.decode(tensors, PLACEMENTS[0], StageClock())
        peaks_bytes.append(tracemalloc.get_traced_memory()[1] - before_bytes)
        tracemalloc.stop()
    assert peaks_bytes[1] < peaks_bytes[0] + 2000


def test_many_masks_are_mixed_in_products_that_stay_on_one_core():
    spec = prototypes_spec("int8", channels=40, shape=(64, 96), input_wh=(48 * 8, 32 * 8))
    placement = Placement.fit((384, 256), (384, 256), resize="stretch")
    tensors = drawn_grids.random_heads(spec, np.random.default_rng(2))
    tensors["s"][:] = np.linspace(1, 3, tensors["s"].size).reshape(tensors["s"].shape)
    tensors["b"][:] = 30  # each covers the frame
    decoder = HEADS["prototype_masks"].decoder(spec, Thresholds(0.5, 1.0, max_detections=100))
    seen = decoder.decode(tensors, placement, StageClock())
    assert len(seen) == 100
    prototypes = real_values(tensors["prototypes"], spec.outputs["prototypes"])[0]
    rows = tensors["c"].reshape(-1, 40)
    # Scores rise, so that the best stand in the last cells; two classes a cell.
    for number, mask in enumerate(seen.masks):
        row = real_values(rows[len(rows) - 1 - number // 2], spec.outputs["c"])
        sums = prototypes @ row
        agree = (mask.cells == (sums > 0)) | (np.abs(sums) < 1e-3)
        assert agree.all()


MASKED = BoxMasksHead(boxes=SsdHead(background=False))


def box_masks_spec(dtype, *, activation="none", masks=(1, 6, 5, 4)):
    ssd = factories.ssd_spec(
        boxes=factories.tensor("boxes", (1, 6, 4), dtype=np.dtype(np.float32), quant=Quant()),
        scores=factories.tensor("scores", (1, 6, 2), dtype=np.dtype(np.float32), quant=Quant()),
        head=MASKED.boxes,
        labels=("a", "b"),
    )
    described = replace(ssd.description, head=MASKED.replace(activation=activation))
    tensor = factories.tensor("masks", masks, dtype=np.dtype(dtype), quant=QUANTS[dtype][0])
    return ModelSpec(described, ssd.input, ssd.outputs | {"masks": tensor})


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
@pytest.mark.parametrize("dtype", QUANTS)
def test_a_mask_of_a_box_is_that_of_its_row_and_equals_the_reference(dtype, activation):
    spec = box_masks_spec(dtype, activation=activation)
    tensors = drawn_grids.random_heads(spec, np.random.default_rng(5))
    tensors["scores"][:] = [[[number, -9] for number in (1, 6, 3, 2, 5, 4)]]
    tensors["boxes"][:] = -3  # inside the frame, all of them
    size_wh = spec.description.input.size_wh
    whole = Placement.fit(size_wh, size_wh, resize="stretch")
    thresholds = Thresholds(0.5, 1.0, max_detections=4)
    seen = HEADS["box_masks"].decoder(spec, thresholds).decode(tensors, whole, StageClock())
    assert len(seen) == 4
    every = [
        instance_float.box_mask(each, spec.outputs["masks"], is_raw=activation == "sigmoid")
        for each in tensors["masks"][0]
    ]
    inside = [
        (row, box, mask)
        for row, box, mask in zip((1, 4, 5, 2), seen.boxes.tolist(), seen.masks, strict=True)
        if min(box[:2]) > 0 and box[2] < size_wh[0] and box[3] < size_wh[1]
    ]
    assert inside
    for row, box, mask in inside:
        assert mask.cells.tolist() == every[row]
        assert mask.box == pytest.approx(box, abs=1e-3)


def exported_spec(count=3):
    """Return the outputs of the R-CNN family: boxes in shares, classes from 1, a mask a box."""
    head = BoxMasksHead(boxes=DetectionsHead(boxes="yxyx", units="ratios", first_class=1))
    shapes = {
        "boxes": (1, count, 4), "scores": (1, count), "classes": (1, count), "count": (1,),
        "masks": (1, count, 4, 4),
    }  # fmt: skip
    return drawn_grids.spec_of(
        head, shapes, classes=2, input_wh=(400, 400), dtype=np.dtype(np.float32), quant=Quant()
    )


def test_masks_as_the_rcnn_family_exports_them_lie_on_their_boxes_and_end_with_the_frame():
    spec = exported_spec()
    HEADS["box_masks"].check(spec)
    left = np.tile([0.9, 0.9, 0.1, 0.1], (4, 1)).astype(np.float32)
    tensors = {
        "boxes": np.array([[[0.25, 0.5, 0.5, 0.75], [0.5, 0.0, 0.75, 0.5], [0, 0, 1, 1]]]),
        "scores": np.array([[0.6, 0.9, 0.99]]),
        "classes": np.array([[2.0, 1.0, 1.0]]),
        "count": np.array([2.0]),
        "masks": np.stack([left, left.T, left])[None],
    }
    tensors = {role: values.astype(np.float32) for role, values in tensors.items()}
    # The frame, 200 x 400, stands from 100 to 300 of the input's width.
    placement = Placement.fit((200, 400), (400, 400), resize="letterbox")
    seen = decoder_of(spec).decode(tensors, placement, StageClock())
    assert seen.class_ids.tolist() == [0, 1]
    cut, inside = seen.masks
    # Half of it lies left of the frame: two of its four columns are left, of the upper rows.
    assert cut.box == pytest.approx((0, 200, 100, 300))
    assert cut.cells.tolist() == [[True, True], [True, True], [False, False], [False, False]]
    assert inside.box == pytest.approx((100, 100, 200, 200))
    assert inside.cells.tolist() == [[True, True, False, False]] * 4


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        pytest.param(prototypes_spec(shape=(8, 12), channels=3), None, id="sound prototypes"),
        pytest.param(box_masks_spec("int8"), None, id="sound masks"),
        pytest.param(
            box_masks_spec("int8", masks=(1, 5, 5, 4)),
            r"masks is \(1, 5, 5, 4\), but 6 boxes need \(1, 6, rows, columns\)",
            id="fewer masks",
        ),
        pytest.param(
            drawn_grids.spec_of(
                HEAD,
                {"b": (1, 1, 1, 4), "s": (1, 1, 1, 1), "c": (1, 1, 1, 3), "prototypes": (1, 8, 3)},
                classes=1,
                input_wh=(16, 16),
            ),
            r"prototypes is \(1, 8, 3\), but prototypes are \(1, rows",
            id="flat prototypes",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_frame(spec, fault):
    row = HEADS[spec.description.head.kind]
    if fault is None:
        row.check(spec)
        assert row.describe(spec)[0][0] == "head"
        return
    with pytest.raises(Misfit, match=fault):
        row.check(spec)
