"""What decoders of boxes share: the candidates of a frame, their boxes, and what becomes of them.

Candidates stand in the order of the tensors: by grid, cell and anchor, then by class. Of equal
scores beyond the capacity the earlier stay, and of the best those with a box that is NaN are
dropped. Nothing that is made for a frame grows with cells times classes, only with the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.scores import best_rows
from edge.decode.suppress import Suppressor
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.decode.selection import Selector
    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors

BOX_SIDES = 4
# Far over any input, and small enough that no area of a box overflows float32.
MAX_SIDE_PX = 2**16
# In strides or anchor sides, and as the logarithm of a side's growth. Only a damaged float output
# comes near: real ones stay below 5, and e^32 still leaves the area of a box finite in float32.
MAX_EXPONENT = 32.0


class Candidates:
    """The best candidates of one frame, and of equal ones the first.

    Args:
        thresholds: How many stay, how many detections there may be, and how far they may overlap.

    Attributes:
        boxes: `(capacity, 4)` float32, xyxy, input pixels, not clipped, finite; of damaged
            distances perhaps with its sides swapped.
        scores: `(capacity,)` float32 in [0, 1].
        class_ids: `(capacity,)` int32, indices into the labels.
        cells: `(capacity,)` int64, in which row of the tensors each stood; rising until suppressed.
        count: Rows in use.
        cut: How many candidates beyond the capacity were dropped.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        capacity = thresholds.candidates
        self.boxes = np.zeros((capacity, 4), np.float32)
        self.scores = np.zeros(capacity, np.float32)
        self.class_ids = np.zeros(capacity, np.int32)
        self.cells = np.zeros(capacity, np.int64)
        self.count = self.cut = 0
        self._thresholds = thresholds
        self._suppressor = Suppressor(capacity)
        self._is_full = False

    def clear(self) -> None:
        """Begin a frame."""
        self.count = self.cut = 0

    def add(
        self, cells: NDArray[np.int64], class_ids: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> None:
        """Add candidates that stand behind the present ones, which they may drive out.

        Args:
            cells: `(n,)`, rising, none below those added before.
            class_ids: `(n,)`.
            scores: `(n,)` >= 0, never NaN.
        """
        start, end = self.count, self.count + len(scores)
        if end > len(self.scores):
            self.cut += end - len(self.scores)
            scores = np.concatenate([self.scores[:start], scores])
            best = best_rows(scores, keep=len(self.scores))
            cells = np.concatenate([self.cells[:start], cells])[best]
            class_ids = np.concatenate([self.class_ids[:start], class_ids])[best]
            scores = scores[best]
            start, end = 0, len(best)
        self.cells[start:end] = cells
        self.class_ids[start:end] = class_ids
        self.scores[start:end] = scores
        self.count = end

    def drop_nan(self) -> int:
        """Drop what has a box that is not a number, as damaged float tensors give it.

        Returns:
            How many are left.
        """
        boxes = self.boxes[: self.count]
        if not np.isnan(np.add.reduce(boxes, axis=None)):
            return self.count
        is_number: NDArray[np.bool_] = np.logical_not(np.isnan(boxes).any(axis=1))
        return self._keep(is_number)

    def suppress(self) -> int:
        """Keep the survivors, best first; return their number."""
        count = self.count
        limits = self._thresholds
        rows = self._suppressor.select(
            self.boxes[:count],
            self.scores[:count],
            self.class_ids[:count],
            suppression=limits.suppression or "class",
            iou_threshold=limits.iou,
            max_detections=limits.max_detections + 1,
        )
        # One more was asked for than may stay, which tells whether any is cut.
        self._is_full = len(rows) > limits.max_detections
        return self._take(rows[: limits.max_detections])

    def detections(self, placement: Placement, clock: StageClock) -> Detections:
        """Suppress, and go back to source pixels; borrowed until the next frame.

        What lay wholly outside the frame has no area once it is clipped, and is dropped. The time
        so far goes to the stage `decode`, that of this to `suppress`.
        """
        clock.lap("decode")
        self._is_full = False
        if self.count and self.suppress():
            boxes = self.boxes[: self.count]
            placement.boxes_to_source_inplace(boxes)
            self._keep((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        count = self.count
        found = Detections(
            self.boxes[:count],
            self.scores[:count],
            self.class_ids[:count],
            cut_candidates=self.cut,
            is_full=self._is_full,
        )
        clock.lap("suppress")
        return found

    def _keep(self, keeps: NDArray[np.bool_]) -> int:
        """Close up the rows in use that `keeps` `(count,)` marks; return their number."""
        return self.count if keeps.all() else self._take(keeps.nonzero()[0])

    def _take(self, rows: NDArray[np.int64]) -> int:
        """Make these rows the ones in use; return their number."""
        self.count = count = len(rows)
        for buffer in (self.boxes, self.scores, self.class_ids, self.cells):
            buffer[:count] = buffer.take(rows, axis=0)
        return count


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells whose boxes stand in one output.

    Attributes:
        boxes: Output role whose rows begin with the raw box.
        geometry: `(cells, k)` float64, what places the box of each cell.
        width: Raw values of a box.
        unpack: Turns raw rows `(n, width)` into the numbers of boxes, `(n, 4)`; `None` dequantises.
        is_turned: Rows are columns: the output is `(1, width, cells)`.
    """

    boxes: str
    geometry: NDArray[np.float64]
    width: int = BOX_SIDES
    unpack: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None
    is_turned: bool = False


class BoxDecoder:
    """Decodes the tensors of one model into buffers of its own; each kind places its own boxes.

    Args:
        spec: The model.
        grids: In the order in which candidates stand.
        thresholds: Of a candidate, and of the detections that are made of them.
        selectors: What finds the candidates; their cells count on from grid to grid.

    Attributes:
        candidates: Those of the last frame.
    """

    def __init__(
        self,
        spec: ModelSpec,
        grids: Sequence[Grid],
        thresholds: Thresholds,
        *,
        selectors: Sequence[Selector],
    ) -> None:
        self.candidates = Candidates(thresholds)
        self._selectors = selectors
        self._geometry = np.concatenate([grid.geometry for grid in grids])
        self._ends = np.cumsum([len(grid.geometry) for grid in grids])
        self._grids = [
            (
                grid,
                grid.unpack or spec.outputs[grid.boxes].quant.dequantize,
                int(end) - len(grid.geometry),
            )
            for grid, end in zip(grids, self._ends, strict=True)
        ]
        self._may_be_nan = any(spec.outputs[grid.boxes].dtype.kind == "f" for grid in grids)

    @property
    def bounds(self) -> list[int]:
        """The first cell of each grid, and behind them the number of all cells."""
        return [0, *map(int, self._ends)]

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what one frame shows, on the source frame; borrowed until the next call."""
        self.find(tensors)
        return self.candidates.detections(placement, clock)

    def find(self, tensors: Tensors) -> int:
        """Find the candidates of one frame, as `Candidates` has them; return their number."""
        found = self.candidates
        found.clear()
        for selector in self._selectors:
            for cells, class_ids, scores in selector.select(tensors):
                found.add(cells, class_ids, scores)
        if found.count == 0:
            return 0
        cells = found.cells[: found.count]
        self.place_cells(tensors, cells, out=found.boxes[: found.count])
        return found.drop_nan() if self._may_be_nan else found.count

    def place_cells(
        self, tensors: Tensors, cells: NDArray[np.int64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode the boxes of some cells, rising, to `(n, 4)` xyxy, input pixels, not clipped."""
        raw = self._raw_boxes(tensors, cells)
        self.place(raw, self._geometry.take(cells, axis=0), out=out)

    def place(
        self, raw: NDArray[np.float32], geometry: NDArray[np.float64], *, out: NDArray[np.float32]
    ) -> None:
        """Decode raw boxes to xyxy, input pixels.

        Args:
            raw: `(n, 4)`, unpacked; NaN is a quiet one.
            geometry: `(n, k)`, of the cells that they stand in; may be overwritten.
            out: `(n, 4)`.
        """
        raise NotImplementedError

    def _raw_boxes(self, tensors: Tensors, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the raw box of each cell, unpacked, `(n, 4)`."""
        parts = []
        start, ends = 0, [len(cells)]
        if len(self._grids) > 1:
            ends = cells.searchsorted(self._ends).tolist()
        for (grid, unpack, first_cell), end in zip(self._grids, ends, strict=True):
            if start < end:
                count, rows = len(grid.geometry), cells[start:end] - first_cell
                if grid.is_turned:
                    raw = tensors[grid.boxes].reshape(-1, count)[: grid.width].take(rows, axis=1).T
                else:
                    table = tensors[grid.boxes].reshape(count, -1)
                    # 0.7 µs for 2.0; but all rows of a view of columns it would copy first.
                    raw = table.take(rows, axis=0) if table.flags.c_contiguous else table[rows]
                parts.append(unpack(raw[:, : grid.width]))
            start = end
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def clamp_inplace(values: NDArray[np.float64], limit: float) -> None:
    """Cut floats to ±limit, NaN left as it is; `np.clip` takes 5 µs longer for so few."""
    np.minimum(values, limit, out=values)
    np.maximum(values, -limit, out=values)
