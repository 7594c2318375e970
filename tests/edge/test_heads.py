"""Every kind of head is a row: its schema, its decoder, its task; others are named."""

import warnings

import drawn_grids
import factories
import numpy as np
import pytest

from edge.decode.anchor_free import AnchorFreeDecoder, AnchorFreeGrid, AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdDecoder
from edge.decode.yolo import YoloDecoder, YoloGrid, YoloHead
from edge.heads import HEADS
from edge.model.quant import Quant
from edge.model.readers.manifest import Manifest
from edge.record import Unsound, read

pytestmark = pytest.mark.board

YOLO = YoloHead(
    grids=(YoloGrid(boxes="raw", objectness="raw", scores="raw", anchors_px=((9.0, 9.0),)),)
)
ANCHOR_FREE = AnchorFreeHead(
    grids=(AnchorFreeGrid(boxes="raw", scores="s", stride_px=8),), boxes="distances"
)


def spec_of(head, shapes):
    return drawn_grids.spec_of(head, shapes, classes=1, input_wh=(8, 8))


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        pytest.param(
            factories.ssd_spec(
                boxes=factories.tensor("b", (1, 6, 4)), scores=factories.tensor("s", (1, 6, 2))
            ),
            SsdDecoder,
            id="ssd",
        ),
        pytest.param(spec_of(YOLO, {"raw": (1, 1, 1, 6)}), YoloDecoder, id="yolo"),
        pytest.param(
            spec_of(ANCHOR_FREE, {"raw": (1, 1, 1, 4), "s": (1, 1, 1, 1)}),
            AnchorFreeDecoder,
            id="anchor-free",
        ),
    ],
)
def test_each_head_has_its_decoder_with_buffers_of_the_capacity(spec, kind):
    row = HEADS[spec.description.head.kind]
    decoder = row.decoder(spec, factories.thresholds(0.5, candidates=7))
    found = decoder.candidates
    assert isinstance(decoder, kind)
    assert row.task == "detection"
    assert [len(part) for part in (found.boxes, found.scores, found.class_ids)] == [7, 7, 7]


@pytest.mark.parametrize("kind", HEADS)
def test_a_row_is_found_by_the_kind_that_its_schema_has(kind):
    assert HEADS[kind].schema.__struct_config__.tag == kind


def test_a_decoder_of_another_kind_is_a_fault_of_the_caller():
    spec = spec_of(SegmentationHead(activation="softmax"), {"classes": (1, 8, 8, 2)})
    with pytest.raises(TypeError, match="expected a head of kind ssd, got segmentation"):
        SsdDecoder(spec, factories.thresholds(0.5))


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param(
            {"kind": "pose"},
            r"kind: expected one of ssd, .*, found 'pose'; update edge",
            id="unknown",
        ),
        pytest.param({"kind": ["ssd"]}, r"found \['ssd'\]", id="no text"),
        pytest.param({}, "head.kind: is needed and missing", id="no kind"),
        pytest.param("ssd", "head: expected a table of keys, found 'ssd'", id="no table"),
        pytest.param({"kind": "ssd", "bins": 3}, "bins", id="unknown key"),
        pytest.param(
            {"kind": "ssd", "box_scales": [1, 2, 3, -4]},
            "head.box_scales: expected a list of 4",
            id="deep",
        ),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_where_it_is_wrong(value, fault):
    with pytest.raises(Unsound, match=fault):
        read(Manifest, factories.manifest().plain() | {"head": value})


def test_a_head_of_a_file_becomes_that_of_its_kind_and_goes_back_as_it_was():
    fields = YOLO.plain()
    described = read(Manifest, factories.manifest().plain() | {"head": fields})
    assert described.head == YOLO
    assert described.plain()["head"] == fields


SIGNALLING = {"float16": 0x7D01, "float32": 0x7F800001}


@pytest.mark.parametrize("dtype", SIGNALLING)
@pytest.mark.parametrize(
    "spec_of_dtype",
    [
        pytest.param(
            lambda **float_: factories.ssd_spec(
                boxes=factories.tensor("boxes", (1, 6, 4), **float_),
                scores=factories.tensor("scores", (1, 6, 2), **float_),
            ),
            id="ssd",
        ),
        pytest.param(
            lambda **float_: drawn_grids.spec_of(
                ANCHOR_FREE,
                {"raw": (1, 1, 1, 4), "s": (1, 1, 1, 1)},
                classes=1,
                input_wh=(8, 8),
                **float_,
            ),
            id="anchor-free",
        ),
        pytest.param(
            lambda **float_: drawn_grids.spec_of(
                YoloHead(
                    grids=(
                        YoloGrid(boxes="boxes", objectness="o", scores="s", anchors_px=((9, 9),)),
                    )
                ),
                {"boxes": (1, 1, 1, 4), "o": (1, 1, 1, 1), "s": (1, 1, 1, 1)},
                classes=1,
                input_wh=(8, 8),
                **float_,
            ),
            id="yolo",
        ),
    ],
)
def test_a_box_of_signalling_nan_is_dropped_without_a_warning(spec_of_dtype, dtype):
    spec = spec_of_dtype(dtype=np.dtype(dtype), quant=Quant())
    tensors = {role: np.full(tensor.shape, 9, dtype) for role, tensor in spec.outputs.items()}
    bits = tensors["boxes" if "boxes" in tensors else "raw"].view(f"u{np.dtype(dtype).itemsize}")
    bits[:] = SIGNALLING[dtype]
    decoder = HEADS[spec.description.head.kind].decoder(spec, factories.thresholds(0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoder.find(tensors) == 0
