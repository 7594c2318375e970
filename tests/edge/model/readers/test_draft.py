"""What a draft says is what a reader of it reads."""

from __future__ import annotations

from dataclasses import replace

import factories
import pytest

from edge.config import toml as toml_file
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.box_masks import BoxMasksHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import KeypointsHead
from edge.model.declared import Declared, Reading
from edge.model.readers import draft, toml

pytestmark = pytest.mark.board

GRIDS = AnchorFreeHead(
    grids=tuple(AnchorFreeGrid(boxes=f"b{s}", scores=f"s{s}", stride_px=s) for s in (8, 16)),
    boxes="distances",
)


@pytest.mark.parametrize(
    "head",
    [
        PrototypeMasksHead(boxes=DecodedHead(units="ratios")),
        PrototypeMasksHead(boxes=GRIDS, coefficients=("c8", "c16")),
        BoxMasksHead(boxes=DetectionsHead(first_class=1)),
        KeypointsHead(boxes=DecodedHead(), names=("a", 'b"'), skeleton=((0, 1),)),
    ],
    ids=["prototypes", "grids", "masks", "points"],
)
def test_a_head_of_boxes_and_more_is_read_back(tmp_path, head):
    described = replace(factories.manifest().description(None), head=head)
    written = tmp_path / "my.toml"
    written.write_text(draft.of(described))
    found = toml.read(written, b"model")
    assert replace(found, digest=described.digest) == described


def test_what_is_unknown_of_boxes_is_asked_in_their_own_table(tmp_path):
    head = PrototypeMasksHead(boxes=DecodedHead())
    reading = Reading(head, {"rows": "o"}, "why", unknown={"head.boxes.units": "pixels or ratios"})
    found = draft.Findings("m", unknown=dict(reading.unknown))
    written = tmp_path / "my.toml"
    written.write_text(draft.draft(found, Declared((), ()), reading))
    asked = toml_file.read(written)["head"]
    assert asked["boxes"]["units"] == "?"
    assert "units" not in asked
