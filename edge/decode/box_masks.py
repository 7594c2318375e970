"""The head `box_masks`: boxes of any kind, each with a grid of its own that is stretched over it.

Source: He et al. 2017, "Mask R-CNN", section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.decode.box_heads import AnyBoxHead
from edge.decode.checks import Misfit, expect_raw
from edge.decode.instance_masks import MASK_AXES, windows_in
from edge.decode.per_box import box_decoder, describe_boxes, only, without
from edge.decode.scores import least_raw
from edge.model.description import HeadSchema
from edge.results.instances import Instances, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.decode.boxes import BoxDecoder
    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.detections import Detections

INSIDE = 0.5  # least probability of a cell


class BoxMasksHead(HeadSchema, frozen=True, kw_only=True, tag="box_masks"):
    """Boxes, each with a grid of probabilities that lies over it (the R-CNN family as exported).

    Attributes:
        boxes: What the boxes are; a head for itself.
        masks: Output role, `(1, N, h, w)`, in the order of the boxes' rows.
        activation: What the masks hold: raw scores (`sigmoid`), or probabilities (`none`).
    """

    boxes: AnyBoxHead
    masks: str = "masks"
    activation: Literal["sigmoid", "none"] = "none"


def check(spec: ModelSpec) -> None:
    """Compare a head of a mask a box with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    _masked_boxes(spec, spec.description.thresholds())


def _masked_boxes(spec: ModelSpec, thresholds: Thresholds) -> BoxDecoder:
    head = spec.description.head_as(BoxMasksHead)
    decoder = box_decoder(without(spec, [head.masks], head.boxes), thresholds)
    output, count = spec.outputs[head.masks], decoder.bounds[-1]
    expect_raw(only(spec, [head.masks]))
    if len(output.shape) != MASK_AXES or output.shape[:2] != (1, count) or min(output.shape) < 1:
        raise Misfit(
            f"output {head.masks} is {output.shape}, but {count} boxes need (1, {count}, rows, "
            "columns)"
        )
    return decoder


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of a head of a mask a box."""
    head = spec.description.head_as(BoxMasksHead)
    rows, columns = spec.outputs[head.masks].shape[2:]
    text = f"box_masks, {columns} x {rows} cells a box, activation {head.activation}"
    return [("head", text), *describe_boxes(spec, head.boxes, [head.masks])]


class BoxMasksDecoder:
    """Decodes boxes, and thresholds the mask of each that is left, as it is quantised.

    Args:
        spec: The model; its head is a `BoxMasksHead`.
        thresholds: Of the boxes.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(BoxMasksHead)
        self._role = head.masks
        self._boxes = _masked_boxes(spec, thresholds)
        self._least = least_raw(spec.outputs[head.masks], INSIDE, head.activation)
        shape = spec.outputs[head.masks].shape[2:]
        self._cells = np.zeros((thresholds.max_detections, *shape), np.bool_)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Instances:
        """Return what one frame shows; masks are decoded after the suppression."""
        seen = self._boxes.decode(tensors, placement, clock)
        rows = self._boxes.candidates.cells[: len(seen)]
        if self._least is not None:
            for row, cells in zip(rows.tolist(), self._cells, strict=False):
                np.greater_equal(tensors[self._role][0, row], self._least, out=cells)
        found = Instances.of(seen, self._inside(tensors, seen, placement))
        clock.lap("decode")
        return found

    def _whole_px(
        self, tensors: Tensors, rows: NDArray[np.int64], placement: Placement
    ) -> NDArray[np.float32]:
        """Return the boxes of some rows in source pixels, not clipped, `(N, corner, axis)`."""
        order = np.argsort(rows)
        sorted_px = np.empty((len(rows), 4), np.float32)
        self._boxes.place_cells(tensors, rows[order], out=sorted_px)
        whole = np.empty_like(sorted_px)
        whole[order] = sorted_px
        whole -= np.tile(placement.offset_xy, 2)
        whole *= np.tile(np.divide(placement.source_wh, placement.region_wh), 2)
        return whole.reshape(-1, 2, 2)

    def _inside(self, tensors: Tensors, seen: Detections, placement: Placement) -> tuple[Mask, ...]:
        """Return the part of each mask that lies in its box, as that was clipped to the frame."""
        whole = self._whole_px(tensors, self._boxes.candidates.cells[: len(seen)], placement)
        counts = np.array(self._cells.shape[:0:-1])  # columns, rows
        origins = whole[:, :1]
        windows, boxes = windows_in(
            seen.boxes,
            origins_px=origins,
            cells_per_px=counts / (whole[:, 1:] - origins),
            counts=counts,
        )
        # Half a cell may stick out of the frame.
        np.clip(boxes, 0, np.tile(placement.source_wh, 2), out=boxes)
        return tuple(
            Mask(cells[top:bottom, left:right], tuple(box))
            for cells, (left, top, right, bottom), box in zip(
                self._cells, windows.tolist(), boxes.tolist(), strict=False
            )
        )
