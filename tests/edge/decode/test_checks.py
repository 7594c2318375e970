"""YOLO and anchor-free heads fit the outputs and labels of their model, or are refused by name."""

from __future__ import annotations

import factories
import numpy as np
import pytest

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ModelError
from edge.model.loaded import join
from edge.record import Unsound, read

pytestmark = pytest.mark.board

WIDTH, HEIGHT = factories.INPUT_WH  # 20 x 12: 3 x 2 cells of 8 pixels, the last ones cut
INPUT = factories.tensor("image", (1, HEIGHT, WIDTH, 3))
LABELS = len(factories.LABELS)
ANCHORS_PX = ((10.0, 14.0), (23.0, 27.0))
COMBINED = YoloGrid(boxes="raw", objectness="raw", scores="raw", anchors_px=ANCHORS_PX)
SEPARATE = YoloGrid(boxes="b", objectness="o", scores="s", anchors_px=ANCHORS_PX)
YOLO_SHAPES = {"b": (1, 2, 3, 8), "o": (1, 2, 3, 2), "s": (1, 2, 3, 2 * LABELS)}
FREE = AnchorFreeGrid(boxes="b", scores="s", objectness="o", stride_px=8)
FREE_SHAPES = {"b": (1, 2, 3, 4), "o": (1, 2, 3, 1), "s": (1, 2, 3, LABELS)}


def joined(head, shapes, *, anchors=None, roles=None, **described):
    """Return the contract of a model with these outputs."""
    file = factories.model_file(
        manifest=factories.manifest(
            head=head, outputs={role: role for role in (shapes if roles is None else roles)}
        ),
        anchors=anchors,
    )
    outputs = [factories.tensor(role, shape, **described) for role, shape in shapes.items()]
    return join(file, [INPUT], outputs)


def free(boxes="center_exp", *, bins=1, **changes):
    return AnchorFreeHead(grids=(FREE.replace(**changes),), boxes=boxes, bins=bins)


@pytest.mark.parametrize(
    ("head", "shapes"),
    [
        pytest.param(YoloHead(grids=(SEPARATE,)), YOLO_SHAPES, id="yolo, three roles"),
        pytest.param(
            YoloHead(grids=(COMBINED,)), {"raw": (1, 5, 7, 2 * (5 + LABELS))}, id="yolo, one role"
        ),
        pytest.param(
            YoloHead(grids=(COMBINED, SEPARATE)),
            YOLO_SHAPES | {"raw": (1, 1, 1, 2 * (5 + LABELS))},
            id="yolo, two grids",
        ),
        pytest.param(free(), FREE_SHAPES, id="anchor-free"),
        pytest.param(
            free("distribution", bins=16, objectness=None),
            {"b": (1, 2, 3, 64), "s": FREE_SHAPES["s"]},
            id="anchor-free, distribution",
        ),
    ],
)
def test_a_head_that_fits_is_joined_with_its_outputs(head, shapes):
    assert {role: spec.shape for role, spec in joined(head, shapes).outputs.items()} == shapes


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(
            {"s": (1, 2, 3, 8)},
            r"output s is \(1, 2, 3, 8\), but 2 anchors and 3 labels need \(1, 2, 3, 6\)",
            id="labels",
        ),
        pytest.param({"b": (1, 2, 3, 12)}, r"output b is .*2 anchors .*\(1, 2, 3, 8\)", id="boxes"),
        pytest.param({"o": (1, 2, 3, 3)}, r"output o .*need \(1, 2, 3, 2\)", id="objectness"),
        pytest.param({"o": (1, 3, 2, 2)}, r"output o .*need \(1, 2, 3, 2\)", id="other cells"),
        pytest.param({"b": (6, 8)}, r"output b is \(6, 8\), but a grid is \(1, rows", id="axes"),
        pytest.param({"b": (1, 0, 3, 8)}, r"output b is .* but a grid is", id="no cells"),
        pytest.param({"b": (2, 2, 3, 8)}, r"output b .*need \(1, 2, 3, 8\)", id="batch of two"),
    ],
)
def test_outputs_that_do_not_fit_a_yolo_head_are_named(changed, expected):
    with pytest.raises(ModelError, match=expected):
        joined(YoloHead(grids=(SEPARATE,)), YOLO_SHAPES | changed)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({"s": (1, 2, 3, 4)}, r"output s .*3 labels need \(1, 2, 3, 3\)", id="labels"),
        pytest.param({"o": (1, 2, 3, 3)}, r"output o .*need \(1, 2, 3, 1\)", id="objectness"),
        pytest.param({"b": (1, 2, 3, 64)}, r"output b .*1 bins .*\(1, 2, 3, 4\)", id="bins"),
        pytest.param({"b": (1, 4, 5, 4)}, r"stride of 8 px.*need \(1, 2, 3, 4\)", id="stride"),
        pytest.param({"b": ()}, r"output b is \(\), but", id="no axes"),
    ],
)
def test_outputs_that_do_not_fit_an_anchor_free_head_are_named(changed, expected):
    with pytest.raises(ModelError, match=expected):
        joined(free(), FREE_SHAPES | changed)


def test_anchors_in_pixels_are_refused_where_shares_are_expected():
    shapes = {"raw_boxes": (1, 6, 4), "raw_scores": (1, 6, LABELS + 1)}
    outputs = [factories.tensor(name, shape) for name, shape in shapes.items()]
    file = factories.model_file(anchors=factories.anchors() * 300)
    with pytest.raises(ModelError, match=r"anchors are shares of the input, at most 16, found 2"):
        join(file, [INPUT], outputs)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"anchors_px": ((1.0, 65537.0),)}, id="too large"),
        pytest.param({"anchors_px": ((0.0, 1.0),)}, id="no side"),
        pytest.param({"anchors_px": ()}, id="no anchors"),
        pytest.param({"scale_xy": 1e30}, id="scale"),
    ],
)
def test_a_grid_whose_boxes_could_not_be_finite_does_not_exist(changes):
    with pytest.raises(Unsound):
        read(YoloGrid, SEPARATE.plain() | changes)


@pytest.mark.parametrize(
    "head", [free("distribution"), free("distances", bins=16)], ids=["one bin", "bins"]
)
def test_only_a_distribution_has_bins(head):
    with pytest.raises(ModelError, match="a distribution has 2 or more bins and other boxes 1"):
        joined(head, FREE_SHAPES)


def test_a_yolo_grid_has_three_roles_or_one():
    grid = YoloGrid(boxes="b", objectness="o", scores="o", anchors_px=ANCHORS_PX)
    with pytest.raises(ModelError, match=r"three output roles or in one, .* names b, o, o"):
        joined(YoloHead(grids=(grid,)), {"b": (1, 2, 3, 8), "o": (1, 2, 3, 8)})


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(YoloHead(grids=(COMBINED, COMBINED)), id="yolo"),
        pytest.param(free(scores="raw", objectness="raw"), id="anchor-free"),
    ],
)
def test_a_role_that_stands_in_two_places_is_named(head):
    with pytest.raises(ModelError, match=r"roles of their own for each grid, .* names raw twice"):
        joined(head, {"raw": (1, 2, 3, 16), "b": (1, 2, 3, 4)})


@pytest.mark.parametrize("roles", [[], ["b", "s"], ["b", "o", "s", "more"]])
def test_roles_that_are_not_the_grids_are_refused(roles):
    shapes = YOLO_SHAPES | {"more": (1, 1)}
    with pytest.raises(ModelError, match="a YOLO head with these grids has the output roles b and"):
        joined(YoloHead(grids=(SEPARATE,)), shapes, roles=roles)


@pytest.mark.parametrize(
    ("head", "shapes"),
    [
        pytest.param(YoloHead(grids=(SEPARATE,)), YOLO_SHAPES, id="yolo"),
        pytest.param(free(), FREE_SHAPES, id="anchor-free"),
        pytest.param(
            SegmentationHead(activation="softmax"),
            {"classes": (1, 2, 3, LABELS)},
            id="segmentation",
        ),
    ],
)
def test_anchors_beside_a_head_that_has_none_are_refused(head, shapes):
    with pytest.raises(ModelError, match="only an SSD head has anchors in a file of their own"):
        joined(head, shapes, anchors=factories.anchors())


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float64])
def test_an_output_that_no_decoder_reads_is_named_with_its_dtype(dtype):
    with pytest.raises(ModelError, match=rf"output b is {np.dtype(dtype)}, but a decoder reads"):
        joined(YoloHead(grids=(SEPARATE,)), YOLO_SHAPES, dtype=np.dtype(dtype))
