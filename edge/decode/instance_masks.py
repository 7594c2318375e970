"""The heads of instance masks: boxes of any kind, each with the shape of what is in it.

`prototype_masks`: a mask is a mix of prototypes that all boxes share; only the cells inside the box
are computed. Source: Bolya et al. 2019, "YOLACT", section 3.2. `box_masks`: each box has a grid of
its own, stretched over it. Source: He et al. 2017, "Mask R-CNN", section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.decode.box_heads import AnyBoxHead
from edge.decode.checks import Misfit, expect_raw
from edge.decode.per_box import BoxRows, box_decoder, describe_boxes, only, without
from edge.decode.scores import least_raw
from edge.model.description import HeadSchema, Thresholds
from edge.results.instances import Instances, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.decode.boxes import BoxDecoder
    from edge.frame import Placement, StageClock
    from edge.model.spec import ModelSpec, Tensors

MASK_AXES = 4  # (1, H, W, P), (1, N, h, w)
INSIDE = 0.5  # least probability of a cell
# Rows of prototypes that are dequantised at a time: of 160 x 160 x 32 they take 0.6 MiB, which
# stays in the L2 cache.
BAND_ROWS = 32
# OpenBLAS takes all cores for more in one product, also those that invoke: with both cores of an
# x86 busy, 20 masks of 160 x 160 cells took 154 ms, and 0.5 ms row by row on one.
MOST_PRODUCTS = 2**18


class PrototypeMasksHead(HeadSchema, frozen=True, kw_only=True, tag="prototype_masks"):
    """Boxes, a row of P coefficients of each, and P prototypes (YOLO-seg, YOLACT).

    A cell belongs to the object where the sum of its prototypes, times the coefficients, is > 0.

    Attributes:
        boxes: What the boxes are; a head for itself.
        coefficients: Output roles, `(1, H, W, P)`, one for each grid of the boxes, in their order.
            None where they are the last P channels of the boxes' only output, `(1, 4 + C + P, N)`
            or `(1, N, 4 + C + P)`.
        prototypes: Output role, `(1, H, W, P)`, over the whole input.
    """

    boxes: AnyBoxHead
    coefficients: tuple[str, ...] = ()
    prototypes: str = "prototypes"


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


def check_prototypes(spec: ModelSpec) -> None:
    """Compare a head of prototypes with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    _prototype_rows(spec, spec.description.thresholds())


def check_box_masks(spec: ModelSpec) -> None:
    """Compare a head of a mask a box with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    _masked_boxes(spec, spec.description.thresholds())


def _prototype_rows(spec: ModelSpec, thresholds: Thresholds) -> BoxRows:
    head = spec.description.head_as(PrototypeMasksHead)
    rest = without(spec, [head.prototypes], head)
    output = spec.outputs[head.prototypes]
    expect_raw(only(spec, [head.prototypes]))
    if len(output.shape) != MASK_AXES or output.shape[0] != 1 or min(output.shape) < 1:
        raise Misfit(
            f"output {head.prototypes} is {output.shape}, but prototypes are (1, rows, columns, "
            "channels)"
        )
    return BoxRows(
        rest, head.boxes, head.coefficients, width=output.shape[-1], thresholds=thresholds
    )


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


def describe_prototypes(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of a head of prototypes."""
    head = spec.description.head_as(PrototypeMasksHead)
    _, rows, columns, count = spec.outputs[head.prototypes].shape
    place = ", ".join(head.coefficients) or "behind the boxes"
    text = f"prototype_masks, {columns} x {rows} cells of {count} prototypes, coefficients {place}"
    return [
        ("head", text),
        *describe_boxes(spec, head.boxes, [head.prototypes, *head.coefficients]),
    ]


def describe_box_masks(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of a head of a mask a box."""
    head = spec.description.head_as(BoxMasksHead)
    rows, columns = spec.outputs[head.masks].shape[2:]
    text = f"box_masks, {columns} x {rows} cells a box, activation {head.activation}"
    return [("head", text), *describe_boxes(spec, head.boxes, [head.masks])]


class PrototypeMasksDecoder:
    """Decodes boxes, and mixes the prototypes inside each; buffers made once.

    A cell is in a box where its centre is, and in a box that holds no centre the cell of its own
    centre. NaN is outside.

    Args:
        spec: The model; its head is a `PrototypeMasksHead`.
        thresholds: Of the boxes.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        self._role = spec.description.head_as(PrototypeMasksHead).prototypes
        self._rows = _prototype_rows(spec, thresholds)
        prototypes = spec.outputs[self._role]
        self._zero_point = np.float32(prototypes.quant.zero_point)
        _, height, width, channels = prototypes.shape
        most, band = thresholds.max_detections, min(BAND_ROWS, height) * width
        self._band = np.empty(band * channels, np.float32)
        self._sums = np.empty(most * band, np.float32)
        # Of more masks than were ever seen at once no page is ever touched.
        self._cells = np.empty((most, height, width), np.bool_)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Instances:
        """Return what one frame shows, on the source frame; borrowed until the next call.

        Args:
            tensors: Of the spec's shapes and dtypes; read only.
            placement: Where the frame lies in the input.
            clock: Told of `decode` and `suppress`; masks are decoded after the suppression.
        """
        seen, coefficients = self._rows.decode(tensors, placement, clock)
        height, width = self._cells.shape[1:]
        windows, boxes = _windows(seen.boxes, placement, (height, width))
        if len(seen):
            self._mix(tensors[self._role][0], coefficients, windows)
        places = zip(self._cells, windows.tolist(), map(tuple, boxes.tolist()), strict=False)
        masks = tuple(
            Mask(cells[top:bottom, left:right], box)
            for cells, (left, top, right, bottom), box in places
        )
        clock.lap("decode")
        return Instances.of(seen, masks)

    def _mix(
        self,
        prototypes: NDArray[Any],
        coefficients: NDArray[np.float32],
        windows: NDArray[np.int64],
    ) -> None:
        """Set the cells inside the windows: whether the sum of coefficient * prototype is > 0.

        The scale of the prototypes changes no sign, and their zero point stands on the other side.
        All boxes that meet a band of rows go in one product.
        """
        with np.errstate(invalid="ignore", over="ignore"):  # of damaged float outputs
            least = (coefficients.sum(axis=1) * self._zero_point).tolist()
        lowest, sides = int(windows[:, 3].max()), windows.tolist()
        for first in range(int(windows[:, 1].min()), lowest, BAND_ROWS):
            end = min(first + BAND_ROWS, lowest)
            met = ((windows[:, 1] < end) & (windows[:, 3] > first)).nonzero()[0]
            if not len(met):
                continue
            start, stop = int(windows[met, 0].min()), int(windows[met, 2].max())
            sums = self._product(prototypes[first:end, start:stop], coefficients[met])
            for place, number in enumerate(met.tolist()):
                left, top, right, bottom = sides[number]
                rows = slice(max(top, first), min(bottom, end))
                inside = sums[rows.start - first : rows.stop - first, left - start : right - start]
                cells = self._cells[number, rows, left:right]
                np.greater(inside[..., place], least[number], out=cells)

    def _product(
        self, prototypes: NDArray[Any], coefficients: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return `(rows, columns, n)`, the sums of raw `(rows, columns, P)`, in the own buffer."""
        rows, columns, channels = prototypes.shape
        count = len(coefficients)
        band = self._band[: prototypes.size].reshape(prototypes.shape)
        sums = self._sums[: rows * columns * count].reshape(rows, columns, count)
        most = max(1, MOST_PRODUCTS // (columns * channels))
        with np.errstate(invalid="ignore", over="ignore"):
            np.copyto(band, prototypes, casting="unsafe")
            for start in range(0, count, most):
                some = slice(start, start + most)
                np.matmul(band, coefficients[some].T, out=sums[..., some])
        return sums


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
        """Return what one frame shows, on the source frame; borrowed until the next call.

        Args:
            tensors: Of the spec's shapes and dtypes; read only.
            placement: Where the frame lies in the input.
            clock: Told of `decode` and `suppress`; masks are decoded after the suppression.
        """
        seen = self._boxes.decode(tensors, placement, clock)
        if self._least is not None:
            rows = self._boxes.candidates.cells[: len(seen)].tolist()
            for row, cells in zip(rows, self._cells, strict=False):
                np.greater_equal(tensors[self._role][0, row], self._least, out=cells)
        boxes = seen.boxes.tolist()
        masks = tuple(map(Mask, self._cells[: len(seen)], map(tuple, boxes)))
        clock.lap("decode")
        return Instances.of(seen, masks)


def _windows(
    boxes: NDArray[np.float32], placement: Placement, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which cells of a grid over the input lie in boxes of the source frame.

    Args:
        boxes: `(N, 4)`, xyxy, clipped to the frame.
        placement: Where the frame lies in the input.
        shape: Rows and columns of the grid.

    Returns:
        `(N, 4)`, left, top, right, bottom of each window, half-open, one cell at least; and those
        sides in pixels of the source frame.
    """
    rows, columns = placement.cells(shape)
    counts = np.array([columns.stop - columns.start, rows.stop - rows.start])
    cells_per_px = counts / placement.source_wh
    sides = boxes.reshape(-1, 2, 2) * cells_per_px  # (N, corner, axis)
    windows = np.ceil(sides - 0.5) + 0.0  # and not -0.0
    middles = np.minimum(np.floor(sides.mean(axis=1)), counts - 1)
    is_empty = windows[:, 0] >= windows[:, 1]
    windows[:, 0] = np.where(is_empty, middles, windows[:, 0])
    windows[:, 1] = np.where(is_empty, middles + 1, windows[:, 1])
    boxes_px = (windows / cells_per_px).reshape(-1, 4)
    windows += (columns.start, rows.start)
    return windows.reshape(-1, 4).astype(np.int64), boxes_px
