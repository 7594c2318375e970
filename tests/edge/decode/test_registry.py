"""Every head that detects has its decoder; one that does not is refused in a sentence."""

import drawn_grids
import factories
import pytest

from edge.decode.anchor_free import AnchorFreeDecoder
from edge.decode.registry import decoder_of
from edge.decode.ssd import SsdDecoder
from edge.decode.yolo import YoloDecoder
from edge.errors import ModelError
from edge.model.heads import (
    AnchorFreeGrid,
    AnchorFreeHead,
    SegmentationHead,
    YoloGrid,
    YoloHead,
)

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
    decoder = decoder_of(spec, score_threshold=0.5, max_candidates=7)
    assert isinstance(decoder, kind)
    assert [len(part) for part in (decoder.boxes, decoder.scores, decoder.class_ids)] == [7, 7, 7]


def test_a_segmentation_head_is_refused_by_name():
    spec = spec_of(SegmentationHead(activation="softmax"), {"classes": (1, 8, 8, 2)})
    with pytest.raises(ModelError, match=r"model tiny: expected a head .*, found segmentation;"):
        decoder_of(spec, score_threshold=0.5, max_candidates=7)
