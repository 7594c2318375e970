"""The head `prototype_masks`: boxes of any kind, whose masks are mixes of the same prototypes.

Only the cells inside a box are computed. Source: Bolya et al. 2019, "YOLACT", section 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.box_heads import AnyBoxHead
from edge.decode.checks import Misfit, expect_raw
from edge.decode.per_box import BoxRows, describe_boxes, only, without
from edge.model.description import HeadSchema, Thresholds
from edge.results.instances import Instances, Mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        channels_first: The prototypes are `(1, P, H, W)`.
    """

    boxes: AnyBoxHead
    coefficients: tuple[str, ...] = ()
    prototypes: str = "prototypes"
    channels_first: bool = False


def check(spec: ModelSpec) -> None:
    """Compare a head of prototypes with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    _prototype_rows(spec, spec.description.thresholds())


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
    width = output.shape[1 if head.channels_first else 3]
    return BoxRows(rest, head.boxes, head.coefficients, width=width, thresholds=thresholds)


def _prototype_shape(spec: ModelSpec) -> tuple[int, int, int]:
    """Return rows, columns and number of the prototypes."""
    head = spec.description.head_as(PrototypeMasksHead)
    first, rows, columns = spec.outputs[head.prototypes].shape[1:]
    return (rows, columns, first) if head.channels_first else (first, rows, columns)


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of a head of prototypes."""
    head = spec.description.head_as(PrototypeMasksHead)
    rows, columns, count = _prototype_shape(spec)
    place = ", ".join(head.coefficients) or "behind the boxes"
    text = f"prototype_masks, {columns} x {rows} cells of {count} prototypes, coefficients {place}"
    return [
        ("head", text),
        *describe_boxes(spec, head.boxes, [head.prototypes, *head.coefficients]),
    ]


class PrototypeMasksDecoder:
    """Decodes boxes, and mixes the prototypes inside each; buffers made once.

    A cell is in a box where its centre is, and in a box that holds no centre the cell of its own
    centre. NaN is outside.

    Args:
        spec: The model; its head is a `PrototypeMasksHead`.
        thresholds: Of the boxes.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(PrototypeMasksHead)
        self._role = head.prototypes
        self._rows = _prototype_rows(spec, thresholds)
        prototypes = spec.outputs[self._role]
        self._zero_point = np.float32(prototypes.quant.zero_point)
        self._channels_first = head.channels_first
        height, width, channels = _prototype_shape(spec)
        most, band = thresholds.max_detections, min(BAND_ROWS, height) * width
        self._band = np.empty(band * channels, np.float32)
        self._sums = np.empty(most * band, np.float32)
        # Of more masks than were ever seen at once no page is ever touched.
        self._cells = np.empty((most, height, width), np.bool_)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Instances:
        """Return what one frame shows; masks are decoded after the suppression."""
        seen, coefficients = self._rows.decode(tensors, placement, clock)
        height, width = self._cells.shape[1:]
        windows, boxes = _windows(seen.boxes, placement, (height, width))
        if len(seen):
            prototypes = tensors[self._role][0]
            if self._channels_first:
                prototypes = prototypes.transpose(1, 2, 0)
            self._mix(prototypes, coefficients, windows)
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


def _windows(
    boxes: NDArray[np.float32], placement: Placement, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which cells of a grid over the input lie in boxes of the frame, as `windows_in`."""
    rows, columns = placement.cells(shape)
    counts = np.array([columns.stop - columns.start, rows.stop - rows.start])
    windows, boxes_px = windows_in(
        boxes, origins_px=np.zeros(2), cells_per_px=counts / placement.source_wh, counts=counts
    )
    return windows + np.tile((columns.start, rows.start), 2), boxes_px


def windows_in(
    boxes: NDArray[np.float32],
    *,
    origins_px: NDArray[np.floating[Any]],
    cells_per_px: NDArray[np.floating[Any]],
    counts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which cells of a grid lie in each of some boxes, by their centres; one cell at least.

    Args:
        boxes: `(N, 4)`, xyxy, on the grid.
        origins_px: x, y of its upper left corner, `(2,)`, or of each box's own, `(N, 1, 2)`.
        cells_per_px: Of that grid, likewise.
        counts: Its columns and rows.

    Returns:
        `(N, 4)`, left, top, right, bottom of each window, half-open; and those sides in pixels.
    """
    sides = (boxes.reshape(-1, 2, 2) - origins_px) * cells_per_px  # (N, corner, axis)
    windows = np.clip(np.ceil(sides - 0.5), 0, counts) + 0.0  # and not -0.0
    middles = np.clip(np.floor(sides.mean(axis=1)), 0, counts - 1)
    is_empty = windows[:, 0] >= windows[:, 1]
    windows[:, 0] = np.where(is_empty, middles, windows[:, 0])
    windows[:, 1] = np.where(is_empty, middles + 1, windows[:, 1])
    boxes_px = windows / cells_per_px + origins_px
    return windows.reshape(-1, 4).astype(np.int64), boxes_px.reshape(-1, 4)
