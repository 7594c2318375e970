"""Whether the head that a manifest describes fits the model's outputs, its labels and anchors.

What is refused here would fail on the first frame, or lie on every one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import ModelError
from edge.model import segmentation_spec
from edge.model.heads import AnchorFreeHead, SegmentationHead, SsdHead, YoloHead

if TYPE_CHECKING:
    from edge.model.heads import AnchorFreeGrid, YoloGrid
    from edge.model.manifest import ModelFile
    from edge.model.spec import TensorSpec

    Roles = dict[str, TensorSpec]

BOX_SIDES = 4
MAX_ANCHOR_RATIO = 16.0  # of the input's sides; keeps the area of any decoded box finite
SSD_AXES = 3  # batch, anchor, and box side or class
GRID_AXES = 4  # batch, row, column, channel
# What a decoder reads; a class map of `argmax` may have any integers.
RAW_DTYPES = tuple(map(np.dtype, (np.int8, np.uint8, np.int16, np.float16, np.float32)))


def check(file: ModelFile, roles: Roles) -> None:
    """Compare a head with the tensors that its output roles name.

    Raises:
        ModelError: They disagree; the message names both sides.
    """
    head = file.manifest.head
    if not (isinstance(head, SegmentationHead) and head.activation == "argmax"):
        _expect_raw(file, roles)
    if not isinstance(head, SsdHead) and file.anchors is not None:
        raise ModelError(
            f"{file.path}: only an SSD head has anchors in a file of their own, the manifest's "
            f"head is {head.kind}; convert the model again"
        )
    match head:
        case SsdHead():
            _check_ssd(file, head, roles)
        case YoloHead():
            _check_yolo(file, head, roles)
        case AnchorFreeHead():
            _check_anchor_free(file, head, roles)
        case SegmentationHead():
            segmentation_spec.check(file, head, roles)


def _check_ssd(file: ModelFile, head: SsdHead, roles: Roles) -> None:
    _expect_roles(file, roles, {"boxes", "scores"}, head="an SSD head")
    anchors = 0 if file.anchors is None else len(file.anchors)
    columns = len(file.manifest.labels) + head.background
    _expect_shape(file, roles, "boxes", shape=(1, anchors, BOX_SIDES))
    found = roles["scores"].shape
    if len(found) == SSD_AXES and found[-1] != columns:
        background = " and background" if head.background else ""
        raise ModelError(
            f"{file.path}: the manifest has {len(file.manifest.labels)} labels, but the scores "
            f"have {found[-1]} columns, expected {columns} (labels{background}); "
            "fix the labels and convert the model again"
        )
    _expect_shape(file, roles, "scores", shape=(1, anchors, columns))
    greatest = float(np.abs(file.anchors).max(initial=0)) if file.anchors is not None else 0.0
    if greatest > MAX_ANCHOR_RATIO:
        raise ModelError(
            f"{file.path}: anchors are shares of the input, at most {MAX_ANCHOR_RATIO:g}, found "
            f"{greatest:g}; convert the model again"
        )


def _check_yolo(file: ModelFile, head: YoloHead, roles: Roles) -> None:
    named = [_yolo_roles(file, grid) for grid in head.grids]
    _expect_grid_roles(file, roles, named, head="a YOLO head")
    labels = len(file.manifest.labels)
    for grid, names in zip(head.grids, named, strict=True):
        anchors = len(grid.anchors_px)
        widths = [anchors * BOX_SIDES, anchors, anchors * labels]
        if len(names) == 1:
            widths = [sum(widths)]
        cells = _cells(file, grid.boxes, roles[grid.boxes])
        for role, width in zip(names, widths, strict=True):
            reason = f"{anchors} anchors and {labels} labels"
            _expect_shape(file, roles, role, shape=(1, *cells, width), reason=reason)


def _yolo_roles(file: ModelFile, grid: YoloGrid) -> list[str]:
    """Return the roles of a grid, each once: three, or the one of a combined output."""
    names = list(dict.fromkeys([grid.boxes, grid.objectness, grid.scores]))
    if len(names) == 2:  # noqa: PLR2004 - neither each for itself nor all in one
        raise ModelError(
            f"{file.path}: a YOLO grid has its boxes, objectness and scores in three output roles "
            f"or in one, the manifest names {grid.boxes}, {grid.objectness}, {grid.scores}; "
            "convert the model again"
        )
    return names


def _check_anchor_free(file: ModelFile, head: AnchorFreeHead, roles: Roles) -> None:
    if (head.boxes == "distribution") != (head.bins > 1):
        raise ModelError(
            f"{file.path}: a distribution has 2 or more bins and other boxes 1, the manifest says "
            f"{head.boxes} with bins = {head.bins}; convert the model again"
        )
    named = [
        [role for role in (grid.boxes, grid.scores, grid.objectness) if role is not None]
        for grid in head.grids
    ]
    _expect_grid_roles(file, roles, named, head="an anchor-free head")
    labels = len(file.manifest.labels)
    for grid in head.grids:
        cells = _expected_cells(file, grid)
        widths = {grid.boxes: BOX_SIDES * head.bins, grid.scores: labels}
        if grid.objectness is not None:
            widths[grid.objectness] = 1
        for role, width in widths.items():
            reason = f"a stride of {grid.stride_px} px, {head.bins} bins and {labels} labels"
            _expect_shape(file, roles, role, shape=(1, *cells, width), reason=reason)


def _expected_cells(file: ModelFile, grid: AnchorFreeGrid) -> tuple[int, int]:
    """Return the rows and columns that a stride makes of the input; the last may be a part."""
    width, height = file.manifest.input.size_wh
    return math.ceil(height / grid.stride_px), math.ceil(width / grid.stride_px)


def _expect_roles(file: ModelFile, roles: Roles, wanted: set[str], *, head: str) -> None:
    if roles.keys() != wanted:
        raise ModelError(
            f"{file.path}: {head} has the output roles {' and '.join(sorted(wanted))}, "
            f"the manifest names {', '.join(sorted(roles)) or 'none'}; convert the model again"
        )


def _expect_grid_roles(file: ModelFile, roles: Roles, named: list[list[str]], *, head: str) -> None:
    """Refuse roles that two outputs of the grids share, and those that do not match the outputs."""
    flat = [role for names in named for role in names]
    shared = sorted(role for role in set(flat) if flat.count(role) > 1)
    if shared:
        raise ModelError(
            f"{file.path}: {head} has output roles of their own for each grid, the manifest names "
            f"{shared[0]} twice; convert the model again"
        )
    _expect_roles(file, roles, set(flat), head=f"{head} with these grids")


def _expect_raw(file: ModelFile, roles: Roles) -> None:
    for role, output in roles.items():
        if output.dtype not in RAW_DTYPES:
            raise ModelError(
                f"{file.path}: output {role} is {output.dtype}, but a decoder reads "
                f"{', '.join(map(str, RAW_DTYPES))}; convert the model again"
            )


def _cells(file: ModelFile, role: str, output: TensorSpec) -> tuple[int, int]:
    """Return the rows and columns of a grid."""
    if len(output.shape) != GRID_AXES or min(output.shape) < 1:
        raise ModelError(
            f"{file.path}: output {role} is {output.shape}, but a grid is (1, rows, columns, "
            "channels); convert the model again"
        )
    return output.shape[1], output.shape[2]


def _expect_shape(
    file: ModelFile,
    roles: Roles,
    role: str,
    *,
    shape: tuple[int, ...],
    reason: str = "the head and its anchors",
) -> None:
    if roles[role].shape != shape:
        raise ModelError(
            f"{file.path}: output {role} is {roles[role].shape}, but {reason} need {shape}; "
            "convert the model again"
        )
