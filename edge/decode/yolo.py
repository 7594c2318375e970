"""Raw YOLO grids with anchors to candidate boxes.

Source: Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement", section 2.1; the factor of
the centre: Bochkovskiy et al. 2020, "YOLOv4", section 3.4 (grid sensitivity); squared sides: the
public definition of YOLOv5, ``(2 sigmoid(t))^2 * anchor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.activation import clamp_inplace, sigmoid_inplace
from edge.decode.grids import BOX_SIDES, MAX_EXPONENT, GridRoles, Grids
from edge.model.heads import YoloHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.heads import YoloGrid
    from edge.model.spec import ModelSpec


class YoloDecoder:
    """Decodes the heads of one model into buffers of its own.

    Args:
        spec: The model; its head is a `YoloHead`.
        score_threshold: Least score of a candidate, in [0, 1], compared in float32.
        max_candidates: Most that `decode` gives, >= 1; the best ones stay.

    Attributes:
        boxes: `(max_candidates, 4)` float32, xyxy, input pixels, not clipped, finite.
        scores: `(max_candidates,)` float32 in [0, 1].
        class_ids: `(max_candidates,)` int32, indices into the labels.
    """

    def __init__(
        self, spec: ModelSpec, *, score_threshold: float, max_candidates: int = 256
    ) -> None:
        head = spec.manifest.head
        if not isinstance(head, YoloHead):
            raise TypeError(f"expected a YOLO head, got {head.kind}")
        self._has_square_sides = head.sides == "square"
        self._grids = Grids(
            spec,
            [
                GridRoles(grid.boxes, grid.objectness, grid.scores, anchors=len(grid.anchors_px))
                for grid in head.grids
            ],
            classes=head.classes,
            score_threshold=score_threshold,
            max_candidates=max_candidates,
        )
        self._geometry = np.concatenate(
            [
                _geometry(grid, shape, input_wh=spec.manifest.input.size_wh)
                for grid, shape in zip(head.grids, self._grids.shapes, strict=True)
            ]
        )
        self.boxes = self._grids.candidates.boxes
        self.scores = self._grids.candidates.scores
        self.class_ids = self._grids.candidates.class_ids

    def decode(self, heads: dict[str, NDArray[Any]]) -> int:
        """Decode the candidates of one frame into rows ``[:n]`` of the buffers.

        They stand in the order of the heads: by grid, cell and anchor, then by class. Of equal
        scores beyond the capacity the earlier stay. A score that is NaN never passes, and of the
        best those with a box that is NaN are dropped. Nothing made here grows with cells times
        classes, only with the candidates.

        Args:
            heads: Output role to raw tensor, of the spec's shapes and dtypes; read only.

        Returns:
            `n`, the number of candidates.
        """
        if self._grids.select(heads) == 0:
            return 0
        self._fill_boxes(self._grids.raw_boxes(heads, width=BOX_SIDES).astype(np.float64))
        return self._grids.drop_nan()

    def _fill_boxes(self, offsets: NDArray[np.float64]) -> None:
        """Decode `(n, 4)` offsets (tx, ty, tw, th) of the candidates; overwrites them."""
        count = len(offsets)
        geometry = self._geometry.take(self._grids.candidates.cells[:count], axis=0)  # (n, 6)
        if self._has_square_sides:
            sigmoid_inplace(offsets)
            sides_wh = np.square(offsets[:, 2:]) * 4
        else:
            clamp_inplace(offsets[:, 2:], MAX_EXPONENT)
            sides_wh = np.exp(offsets[:, 2:])
            sigmoid_inplace(offsets[:, :2])
        centers_xy = offsets[:, :2] * geometry[:, :2] + geometry[:, 2:4]
        halves_wh = sides_wh * geometry[:, 4:]
        boxes = self.boxes[:count]
        np.subtract(centers_xy, halves_wh, out=boxes[:, :2])
        np.add(centers_xy, halves_wh, out=boxes[:, 2:])


def _geometry(
    grid: YoloGrid, shape: tuple[int, ...], *, input_wh: tuple[int, int]
) -> NDArray[np.float64]:
    """Return what turns each cell's offsets into pixels, `(H * W * B, 6)`.

    Columns: of the centre, factor (x, y) and origin (x, y), so that it stands at ``sigmoid(t) *
    factor + origin``; half the anchor's sides (w, h).
    """
    rows, columns = shape
    anchors = len(grid.anchors_px)
    stride_xy = np.array(input_wh) / (columns, rows)
    table = np.empty((rows, columns, anchors, 6))
    corners_xy = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)  # (H, W, 2)
    table[..., :2] = grid.scale_xy * stride_xy
    table[..., 2:4] = ((corners_xy - (grid.scale_xy - 1) / 2) * stride_xy)[:, :, None]
    table[..., 4:] = np.array(grid.anchors_px) / 2
    return table.reshape(-1, 6)
